"""Settings of an object's page: the section `viewer` of the workflow's configuration."""

from dataclasses import dataclass

from obj2ngp.common.settings import setting

METHOD = 4  # raised by hand when the same settings give another page than before


@dataclass(frozen=True)
class ViewerSettings:
    """The page on which an object can be turned."""

    enabled: bool = setting(True, "write `viewer.html`, a page of each object that holds the model itself")
    source: bool = setting(True, "show the source mesh on it, too, simplified to what 95 kB of the page can hold")
    largest: float = setting(
        8.0, "megabytes that such a page may have; that of a larger model says so and offers the turntable", 0.1, 1000
    )
