"""Settings: declared once, filled by one reader, with an error that names the key for everything that is wrong."""

from dataclasses import MISSING, dataclass
from typing import Optional, Tuple, Union

import pytest

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import from_mapping, given, read_settings, setting


@dataclass(frozen=True)
class Lens:
    fov: float = setting(50.0, "degrees", 1, 120)
    range: Tuple[float, float] = setting((0.0, 360.0), "degrees", -360, 720)

    def __post_init__(self):
        if self.range[0] > self.range[1]:
            raise ValueError("range: must be [low, high]")


@dataclass(frozen=True)
class Shelf:
    root: str = setting(MISSING, "folder")
    names: Optional[Union[Tuple[str, ...], str]] = setting(None, "list or file")


@dataclass(frozen=True)
class Turntable:
    frames: int = setting(60, "pictures", 2, 1000)
    radius: float = setting(1.5, "distance", 0.1, 100)
    loop: bool = setting(True, "again")
    axis: str = setting("Y", "up", choices={"Y": "", "Z": ""})
    steps: int = setting(10, "the recipe's", 1, 100, auto=True)
    lens: Lens = Lens()
    shelf: Optional[Shelf] = setting(None, "optional")


def test_defaults_and_numbers_of_the_other_kind():
    settings = read_settings(Turntable, '{"radius": 2, "frames": 1e2, "lens": {"range": [1, 2]}}')
    assert settings == Turntable(100, 2.0, lens=Lens(range=(1.0, 2.0)))
    assert isinstance(settings.radius, float) and isinstance(settings.frames, int)
    assert from_mapping(Turntable, {"lens": None}) == Turntable()


def test_what_is_absent_or_auto_is_left_to_the_defaults():
    recipe = Turntable(steps=50, lens=Lens(fov=20.0))
    assert from_mapping(Turntable, {"steps": "auto", "lens": {"range": [0, 1]}}, "", recipe) == Turntable(
        steps=50, lens=Lens(20.0, (0.0, 1.0))
    )
    assert given(Turntable, {"steps": "auto", "radius": 2, "lens": {}, "shelf": None}) == {"radius": 2.0, "shelf": None}


def test_sections_that_may_be_absent():
    assert from_mapping(Turntable, {"shelf": None}).shelf is None
    assert from_mapping(Turntable, {"shelf": {"root": "a"}}).shelf == Shelf("a")
    assert from_mapping(Turntable, {"shelf": {"root": "a", "names": ["b", "c"]}}).shelf.names == ("b", "c")
    assert from_mapping(Turntable, {"shelf": {"root": "a", "names": "file"}}).shelf.names == "file"


@pytest.mark.parametrize(
    "values, message",
    [
        ({"frame": 60}, "top.frame: unknown key; known here: frames, radius, loop, axis, steps, lens, shelf"),
        ({5: 60}, "top.5: unknown key; known here: frames, radius, loop, axis, steps, lens, shelf"),
        ({"frames": 60.5}, "top.frames: must be an integer, not 60.5"),
        ({"frames": True}, "top.frames: must be an integer, not true"),
        ({"frames": "auto"}, 'top.frames: must be an integer, not "auto"'),
        ({"steps": "fast"}, 'top.steps: must be an integer or auto, not "fast"'),
        ({"radius": "1"}, 'top.radius: must be a number, not "1"'),
        ({"radius": None}, "top.radius: must be a number, not null"),
        ({"radius": float("nan")}, "top.radius: must be between 0.1 and 100, not NaN"),
        ({"radius": 10**400}, f"top.radius: must be a number, not 1{'0' * 76}..."),
        ({"frames": 1}, "top.frames: must be between 2 and 1000, not 1"),
        ({"loop": 1}, "top.loop: must be true or false, not 1"),
        ({"axis": "X"}, 'top.axis: must be one of Y, Z, not "X"'),
        ({"axis": ""}, 'top.axis: must be a text, not "" (in quotes where a text looks like a number)'),
        ({"lens": 3}, "top.lens: must hold keys, not 3"),
        ({"lens": {"fov": 400}}, "top.lens.fov: must be between 1 and 120, not 400.0"),
        ({"lens": {"range": [0]}}, "top.lens.range: must be [a number, a number], not [0]"),
        ({"lens": {"range": [0, 721]}}, "top.lens.range: must be between -360 and 720, not [0.0, 721.0]"),
        ({"lens": {"range": [2, 1]}}, "top.lens.range: must be [low, high]"),
        ({"shelf": {}}, "top.shelf.root: is missing"),
        ({"shelf": 3}, "top.shelf: must hold keys, not 3"),
        (
            {"shelf": {"root": "a", "names": [3]}},
            "top.shelf.names: must be a list of texts or a text or null, not [3]"
            " (in quotes where a text looks like a number)",
        ),
        ([60], "top: must hold keys, not [60]"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(values, message):
    with pytest.raises(UserError) as error:
        from_mapping(Turntable, values, "top")
    assert str(error.value) == message


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "--settings: not valid JSON: "),
        ("[60]", "--settings: must hold keys, not [60]"),
        ('{"lens": {"fov": 0}}', "--settings: lens.fov: must be between 1 and 120, not 0"),
        ('{"lens": {"range": [2, 1]}}', "--settings: lens.range: must be [low, high]"),
    ],
)
def test_the_option_of_a_program_is_named(text, message):
    with pytest.raises(UserError) as error:
        read_settings(Turntable, text)
    assert str(error.value).startswith(message)
