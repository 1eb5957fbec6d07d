"""Making a process cheap to fork: its memory in huge pages.

A fork copies the page tables, and the child faults once per page it writes to; with the 440 MB that PyTorch leaves
behind, that is most of the cost of a short trial. Source: madvise(2), MADV_COLLAPSE (Linux 6.1).
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_HUGEPAGE = 14
_MADV_COLLAPSE = 25
_HUGE = 1 << 21


def collapse_memory() -> int:
    """Gather this process's private memory in huge pages, as far as the kernel can.

    Returns:
        Bytes that were gathered; 0 where the kernel offers nothing like it, which does no harm.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None).madvise
    gathered = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, _, *name = line.split()
        if rights != "rw-p" or name not in ([], ["[heap]"]):
            continue
        low, high = (int(end, 16) for end in span.split("-"))
        start, end = -(-low // _HUGE) * _HUGE, high // _HUGE * _HUGE
        if start >= end:
            continue
        place, size = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
        madvise(place, size, _MADV_HUGEPAGE)
        if madvise(place, size, _MADV_COLLAPSE) == 0:
            gathered += end - start
    return gathered
