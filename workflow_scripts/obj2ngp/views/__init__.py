"""Posed images, read and written by format. numpy and imageio, no torch, Python 3.8."""
