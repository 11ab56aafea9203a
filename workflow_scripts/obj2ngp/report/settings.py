"""Settings of the gallery: the section `gallery` of the workflow's configuration."""

from dataclasses import dataclass
from typing import Optional

from obj2ngp.common.settings import check_path, setting

METHOD = 3  # of the gallery and plots; raised by hand when the same results give others than before
REPORTED = 100  # objects in Snakemake's report, which holds all of their files
SUMMARY = "summary.csv"  # in the folder of the results
PLOTTED = 10  # objects from which on plots of the collection say something


@dataclass(frozen=True)
class GallerySettings:
    """The page of all objects."""

    compare: Optional[str] = setting(
        None, "folder of the results of another run, whose objects are shown beside those of the same name; null: none"
    )

    def __post_init__(self):
        if self.compare is not None:
            check_path("compare", self.compare)
