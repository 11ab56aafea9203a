"""Posed images, read and written by format. numpy and Pillow, no torch, Python 3.8."""
