"""From a Wavefront .obj file to posed pictures of it: the library behind ``render.py``.

Everything but ``blender``, ``materials`` and ``studio`` runs without Blender. All modules stay valid for the
Python 3.7 and numpy 1.17 that Blender 2.90 brings.
"""
