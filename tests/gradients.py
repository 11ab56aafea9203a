"""Gradients are compared as vectors: in size, in direction, and entry by entry."""

import torch

OUTLIERS = 0.02  # share of entries that may be farther off than the error


def assert_gradient(actual, expected, error, what):
    """Raises AssertionError naming `what` unless the gradient `actual` is `expected` within `error`; shapes are equal.

    size       |actual - expected| <= error * |expected|
    direction  cosine >= 1 - error^2 / 8, the cosine of half that error
    entries    of those that are not zero in both, at most OUTLIERS are off by more than 2 * error * (the entry's
               expected size + the root mean square of these)
    A gradient that is zero must be zero exactly; one that is not finite never matches.
    """
    actual, expected = (torch.as_tensor(x).detach().cpu().double() for x in (actual, expected))
    assert actual.shape == expected.shape, what
    assert bool(torch.isfinite(actual).all()) and bool(torch.isfinite(expected).all()), what + ": not finite"
    present = (actual != 0) | (expected != 0)
    if not bool(expected.any()):
        assert not bool(present.any()), what + ": expected zero"
        return
    actual, expected = actual[present], expected[present]
    off, norm = actual - expected, expected.norm()
    size = float(off.norm() / norm)
    cosine = float(actual @ expected / (actual.norm() * norm).clamp(min=1e-300))
    allowed = 2 * error * (expected.abs() + norm / len(expected) ** 0.5)
    outliers = float((off.abs() > allowed).double().mean())
    report = "{}: relative error {:.2g}, 1 - cosine {:.2g}, outliers {:.2g}".format(what, size, 1 - cosine, outliers)
    assert size <= error and 1 - cosine <= error**2 / 8 and outliers <= OUTLIERS, report


def assert_table_gradient(actual, expected, levels, error):
    """Compares gradients of a hash table (entries, features), level by level: the fine levels' are the smaller ones."""
    bounds = levels.offset.tolist()
    for level, (begin, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        assert_gradient(actual[begin:end], expected[begin:end], error, "table, level {}".format(level))
