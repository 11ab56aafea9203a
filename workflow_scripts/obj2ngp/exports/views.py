"""An object's views in the layouts of other programs."""

from obj2ngp.views.writing import WRITERS, read_views

from .registry import FORMATS, MODEL


def write(source, folder):
    """Write the views of a Source into `folder`. Raises UserError."""
    cube = {}
    if MODEL in FORMATS[source.format].needs:
        model = source.model()
        cube = {"scale": model.scale, "offset": model.offset.tolist()}
    WRITERS[source.format](read_views(source.results / "renders", cube), folder, source.name)
