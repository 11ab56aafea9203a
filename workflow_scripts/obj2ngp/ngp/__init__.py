"""Instant-NGP: multiresolution hash encoding, small MLPs, occupancy grid (Müller et al., SIGGRAPH 2022)."""
