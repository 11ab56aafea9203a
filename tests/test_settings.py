"""`--settings`: defaults, and an error that names the key for everything that is wrong."""

from dataclasses import dataclass

import pytest

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import read_settings


@dataclass
class Turntable:
    frames: int = 60
    radius: float = 1.5

    def __post_init__(self):
        if self.frames < 2:
            raise ValueError("frames must be at least 2")


def test_defaults_and_integers_for_floats():
    settings = read_settings(Turntable, '{"radius": 2}')
    assert settings == Turntable(60, 2.0) and isinstance(settings.radius, float)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not valid JSON"),
        ("[60]", "must be a JSON object"),
        ('{"frame": 60}', "unknown key 'frame'"),
        ('{"frames": 60.5}', "frames must be of type int"),
        ('{"frames": true}', "frames must be of type int"),
        ('{"radius": "1"}', "radius must be of type float"),
        ('{"frames": 1}', "frames must be at least 2"),
    ],
)
def test_bad_settings_are_refused_by_name(text, message):
    with pytest.raises(UserError, match=message):
        read_settings(Turntable, text)
