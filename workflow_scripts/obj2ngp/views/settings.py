"""The settings of image sets that are brought in. They change what is trained on; nothing else does."""

from dataclasses import dataclass

from obj2ngp.common.settings import AUTO, LARGEST_SEED, setting

from .kinds import KINDS

METHOD = 1  # raised by hand when the same settings make other views than before

AXES = ("x", "y", "z", "-x", "-y", "-z")


@dataclass(frozen=True)
class ViewsSettings:
    """The section `views`: how image sets are read. Sets that are rendered here do not need it."""

    kind: str = setting(
        AUTO, "layout of the set", choices={AUTO: "what the folder's content says", **dict.fromkeys(KINDS, "")}
    )
    missing: str = setting(
        "error",
        "pictures that are listed and do not exist, or show nothing of the object",
        choices={"error": "", "warn": "leave them out"},
    )
    background: str = setting(
        AUTO,
        "what is behind the object in pictures that are opaque",
        choices={
            AUTO: "what masks say, or else white or black where all pictures' borders are so; else the set is refused",
            "white": "white pixels become transparent",
            "black": "black pixels become transparent",
            "none": "nothing: opaque pixels are the object's",
        },
    )
    up: str = setting(
        AUTO, "axis of the set that points up", choices={AUTO: "what the cameras hold up", **dict.fromkeys(AXES, "")}
    )
    test_fraction: float = setting(
        0.125, "share of the views that are drawn for testing, where the set itself has none for it", 0.001, 0.9
    )


@dataclass(frozen=True)
class Settings(ViewsSettings):
    """All settings of a set's import."""

    seed: int = setting(0, "the drawn test views follow from it", 0, LARGEST_SEED)
