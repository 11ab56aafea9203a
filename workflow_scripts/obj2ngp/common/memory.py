"""What this machine, or the part of it that the process may use, has room for. Standard library only, Python 3.7."""

import os
import resource

from .files import UserError

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit():
    """Bytes that this process can have at most: the machine's, its container's or its own limit's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    if own != resource.RLIM_INFINITY:
        limits.append(own)
    for path in CGROUP_LIMITS:
        try:
            with open(path) as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):  # no such control group, or "max"
            continue
    return min(limits)


def require_memory(size, what):
    """Raise UserError, beginning with `what`, if the `size` in bytes that it needs is more than there is."""
    limit = memory_limit()
    if size > limit:
        raise UserError(f"{what}: {size / 1e9:.1f} GB of memory needed, {limit / 1e9:.1f} GB are there")


def require_address_space(size, what):
    """Raise UserError, beginning with `what`, if this process may not take the `size` in bytes beside what it has.

    It may always where no limit is set (`ulimit -v`).
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    with open("/proc/self/statm") as file:
        left = limit - int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    if size > left:
        has = f"{max(left, 0) / 1e9:.2f} GB are left (ulimit -v)"
        raise UserError(f"{what}: {size / 1e9:.2f} GB of address space needed, {has}")
