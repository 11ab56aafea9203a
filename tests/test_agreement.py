"""What the configuration accepts, the trainer takes: settings from the whole declared space, on a tiny object."""

import dataclasses
import json
import math
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ball import ball_images
from obj2ngp.common.files import UserError
from obj2ngp.ngp import backends
from obj2ngp.ngp.config import TrainConfig, resolve
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.workflow.configuration import Resolved

# Where large values only cost time and memory, small ones stand for all; every other setting takes its whole range.
SMALL = {
    **{"levels": 4, "features": 4, "table_log2": 10, "base_resolution": 16, "finest_resolution": 64},
    **{"density_width": 32, "density_layers": 2, "geometry_features": 16, "color_width": 32, "color_layers": 2},
    **{"steps": 60, "samples_per_step": 4096, "cells_per_update": 2048, "resolution": 32},
}


def of_section(kind):
    """Mappings that give some of a section's settings, the bounds as often as what lies between."""
    fields = [field for field in dataclasses.fields(kind) if dataclasses.is_dataclass(field.default) or bounds(field)]
    return st.fixed_dictionaries({}, optional={field.name: of_setting(field) for field in fields})


def bounds(field):
    """(least, greatest) value that is tried of a setting; None where it has no bounds."""
    low, high = field.metadata["low"], field.metadata["high"]
    return None if low is None else (low, min(high, SMALL.get(field.name, high)))


def of_setting(field):
    if dataclasses.is_dataclass(field.default):
        return of_section(type(field.default))
    low, high = bounds(field)
    between = st.integers(low, high) if isinstance(field.default, int) else st.floats(low, high)
    return st.sampled_from([low, high]) | between


@pytest.mark.slow
@settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
@given(of_section(TrainConfig))
def test_what_the_configuration_accepts_the_trainer_takes(training):
    """Training on 8 x 8 pixels ends well, with finite numbers and nothing that NumPy warns of."""
    small = {"steps": 5, "samples_per_step": 4096, "network": {}, "occupancy": {}, **training}
    small["network"] = {"levels": 2, "table_log2": 8, **small["network"]}
    small["occupancy"] = {"resolution": 16, **small["occupancy"]}
    try:
        chosen = Resolved({"train": {"backend": "cpu", **small}}).settings("train")
    except UserError as error:  # what concerns several settings, and is told before anything is done
        assert str(error).startswith("configuration: train.")
        return
    images = ball_images(size=8)
    config = resolve(json.loads(json.dumps(chosen)), "cpu", len(images), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        rows = list(steps(TrainingRun.alone(images, config, backends.select("cpu"))))
    assert rows and all(math.isfinite(value) for row in rows for value in row.values())
