"""Backends: what runs the stages of a training step. `ngp.backends.base` states what each must do.

A backend is a package of this folder, named in NAMES, with a class `Backend`. If something that it needs is not
installed, its import raises an ImportError that says what. Importing this module imports none of them.
"""

from __future__ import annotations

import importlib

from obj2ngp.common.files import UserError
from obj2ngp.ngp.settings import BACKENDS

NAMES = tuple(BACKENDS)


class BackendError(UserError):
    """The backend asked for cannot run here, or not with these settings; the message says why."""


def select(name):
    """The class of backend `name`, or of the best that runs here for 'auto'. Raises BackendError."""
    if name not in NAMES + ("auto",):
        raise BackendError("unknown backend {!r}; known: auto, {}".format(name, ", ".join(NAMES)))
    reasons = []
    for candidate in NAMES if name == "auto" else (name,):
        try:
            backend = importlib.import_module("obj2ngp.ngp.backends." + candidate).Backend
            reason = backend.unavailable()
        except ImportError as error:
            reason = str(error)
        if reason is None:
            return backend
        reasons.append("{}: {}".format(candidate, reason))
    raise BackendError("backend {} cannot run here ({})".format(name, "; ".join(reasons)))
