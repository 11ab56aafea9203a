"""Whether there is room for what this backend loads; imported before any of it.

Numba, LLVM, the kernels, and SciPy, which comes with the first of them: what they take up to the end of a small
picture, with two threads. SciPy's OpenBLAS asks for memory again and again, for ever, where there is none.
"""

from obj2ngp.common.memory import require_address_space

require_address_space(450_000_000, "backend cpu: its kernels")
