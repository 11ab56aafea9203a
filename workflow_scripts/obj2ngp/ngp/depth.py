"""Where a ray's light is stopped: the median of the distances at which it is, with what composite's samples are."""

from __future__ import annotations

import math

import torch

HALF = math.log(2)  # optical depth in front of which half of the light is left
OPAQUE = 32.0  # optical depth that one sample counts at most: sums along all rays stay exact


def median_distance(rays, samples, step_size):
    """(R,) float32: for each ray in use, the distance `t` at which half of its light is left; inf if more is always.

    rays, samples  evaluated Rays and Samples, those of a ray one after another
    step_size      between two samples, in edges of the unit cube

    Density is taken as constant over the step around a sample, so that the place inside the step follows from it.
    """
    active, n = int(rays.active), samples.used()
    distance = torch.full((active,), math.inf, device=rays.origin.device)
    if n == 0:
        return distance
    ray = samples.ray[:n].long()
    thickness = (samples.density[:n].double() * step_size).clamp(max=OPAQUE)
    total = thickness.cumsum(0)  # over all rays: in double, since what lies in front of a ray is taken off again
    in_front = total - thickness
    in_front = in_front - in_front[rays.first[:active].long().clamp(max=n - 1)][ray]
    here = (in_front < HALF) & (in_front + thickness >= HALF)
    share = (HALF - in_front[here]) / thickness[here]
    distance[ray[here]] = samples.t[:n][here] + (share.float() - 0.5) * step_size
    return distance
