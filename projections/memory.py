"""Memory that was needed for a while, given back."""

import ctypes


def give_back() -> None:
    """Have the C library return to the system what lies free in its heaps.

    By itself glibc returns only the end of a heap: what a read in bulk needed stays, half of what
    a worker holds. See malloc_trim(3); a C library that has no such function is left alone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
