"""Triton's interpreter without what it does in vain; for a process that interprets all kernels.

Of its time, 40 % went into sums and products in int64 that look for overflow: unless it debugs, it drops what they
find. At each call of a function it replaces the whole language anew, which a launch puts back at its end.
"""

import dataclasses
import functools

from triton.runtime import interpreter


def hurry():
    """From now on, look for no overflow, and replace the language once for each function."""
    builder = interpreter.interpreter_builder
    builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)
    interpreter._patch_lang = functools.cache(interpreter._patch_lang)
    interpreter._LangPatchScope.restore = lambda self: None
