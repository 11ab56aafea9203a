"""Instant-NGP: multiresolution hash encoding, small MLPs, occupancy grid (Müller et al., SIGGRAPH 2022)."""

__version__ = "0.1.0"
