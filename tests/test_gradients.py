"""The comparison of gradients lets pass what is right, and nothing that is wrong in one respect alone."""

import pytest
import torch

from gradients import assert_gradient, assert_table_gradient
from obj2ngp.ngp.config import NetworkConfig
from obj2ngp.ngp.field import GridLevels

ERROR = 0.02


def vector(n=10_000, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_what_is_right_passes():
    expected = vector() * (torch.arange(10_000) % 7 == 0)  # mostly zeros, as a table's gradient is
    assert_gradient(expected.half(), expected, ERROR, "half precision")
    assert_gradient(expected * (1 + ERROR / 4), expected, ERROR, "a little longer")
    assert_gradient(torch.zeros(5), torch.zeros(5), ERROR, "zeros")


@pytest.mark.parametrize("factor", [1 + 2 * ERROR, 1 - 2 * ERROR, 0.0, -1.0])
def test_the_wrong_size(factor):
    with pytest.raises(AssertionError, match="relative error"):
        assert_gradient(vector() * factor, vector(), ERROR, "size")


def test_the_wrong_direction():
    """Turned by 3/4 of the error, which the size lets pass, as it does the entries."""
    expected = vector()
    other = vector(seed=1)
    other -= (other @ expected) / (expected @ expected) * expected
    turned = expected + 0.75 * ERROR * other / other.norm() * expected.norm()
    assert (turned - expected).norm() < ERROR * expected.norm()
    with pytest.raises(AssertionError, match="1 - cosine"):
        assert_gradient(turned, expected, ERROR, "direction")


def test_a_few_entries_far_off():
    """2.4 % of the entries off by three times the error: in size and direction the whole is well within it."""
    expected = vector()
    small = (expected.abs() < 0.3).nonzero()[::10, 0]
    wrong = expected.clone()
    wrong[small] += 3 * ERROR
    off = (wrong - expected).norm() / expected.norm()
    assert off < ERROR / 2  # and so is the angle, which is no greater
    with pytest.raises(AssertionError, match="outliers 0.02"):
        assert_gradient(wrong, expected, ERROR, "entries")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite(value):
    wrong = vector()
    wrong[3] = value
    with pytest.raises(AssertionError, match="not finite"):
        assert_gradient(wrong, vector(), ERROR, "entry")


def test_something_where_nothing_is_expected():
    with pytest.raises(AssertionError, match="expected zero"):
        assert_gradient(torch.tensor([0.0, 1e-9]), torch.zeros(2), ERROR, "nothing")


def test_one_level_wrong_among_larger_ones():
    """The finest level's gradient is a thousandth of the others': over the whole table its loss would not show."""
    levels = GridLevels(NetworkConfig(levels=3, table_log2=10, base_resolution=4, finest_resolution=64))
    expected = vector(levels.entries * 2).view(-1, 2)
    begin = int(levels.offset[2])
    expected[begin:] /= 1000
    wrong = expected.clone()
    wrong[begin:] = 0
    assert_gradient(wrong, expected, ERROR, "the whole table")
    with pytest.raises(AssertionError, match="level 2"):
        assert_table_gradient(wrong, expected, levels, ERROR)
