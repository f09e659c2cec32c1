"""What a run cost."""

from __future__ import annotations

import sys

import torch


def peak_memory_bytes() -> int | None:
    """Most memory this process has held so far: of the GPU if it uses one, else resident.

    None where the system does not tell (Windows).
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
