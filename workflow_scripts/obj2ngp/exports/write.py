"""One object in one format."""

import importlib
from pathlib import Path

from obj2ngp.common.files import atomic_folder
from obj2ngp.common.settings import read_settings
from obj2ngp.ngp.threads import set_threads

from .registry import FORMATS
from .settings import settings_kind


def write_export(name, format, results, settings, threads, out):
    """Write an object's results in a `format` into the folder `out`, in place of what it held. Raises UserError.

    results   folder of the object's results
    settings  JSON object, empty for a format that has no settings
    threads   CPU threads to use; 0: all
    """
    set_threads(threads)
    from .source import Source  # later: PyTorch and numba read the environment as they load

    kind = settings_kind(format)
    source = Source(name, format, Path(results), kind and read_settings(kind, settings))
    writer = importlib.import_module(f"obj2ngp.exports.{FORMATS[format].module}")
    with atomic_folder(out) as folder:
        writer.write(source, folder)
