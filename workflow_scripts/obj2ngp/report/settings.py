"""Settings of the gallery: the section `gallery` of the workflow's configuration."""

from dataclasses import dataclass
from typing import Optional

from obj2ngp.common.settings import setting

METHOD = 1  # raised by hand when the same results give another page than before


@dataclass(frozen=True)
class GallerySettings:
    """The page of all objects."""

    compare: Optional[str] = setting(
        None, "folder of the results of another run, whose objects are shown beside those of the same name; null: none"
    )
