"""Encoding `frequencies`: sines and cosines of the position (Mildenhall et al. 2020, equation 4).

It has `levels` octaves and no parameters of its own: it leaves everything to the head.
"""

from __future__ import annotations

import math

import numpy as np
import torch


class Encoding:
    def __init__(self, network):
        self.shape = (1, 1)  # of the table that every field has; not used
        self.width = 6 * network.levels
        self.octaves = network.levels

    def start(self, generator):
        return np.zeros(self.shape)

    def __call__(self, table, positions):
        scale = 2.0 ** torch.arange(self.octaves, device=positions.device) * math.pi
        phase = ((2 * positions - 1)[:, :, None] * scale).flatten(1)
        return torch.cat([phase.sin(), phase.cos()], 1)
