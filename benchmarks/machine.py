"""On what a benchmark ran: the machine and the versions, for its table and its files."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from movie_genres.model.devices import choose_precision

PACKAGES = (
    "torch", "transformers", "datasets", "accelerate", "scikit-learn", "numpy", "scipy",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, GPU (or None), and the precision that "auto" takes."""
    on_gpu = torch.cuda.is_available()
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "gpu": torch.cuda.get_device_name() if on_gpu else None,
        "auto_precision": choose_precision("auto", on_cpu=not on_gpu),
        "python": platform.python_version(),
    }


def processor_name() -> str:
    """As the system calls it; the architecture where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def describe(found: dict[str, Any]) -> str:
    """One line of what `machine` gives."""
    bf16 = "with" if found["avx512_bf16"] else "without"
    gpu = f", {found['gpu']}" if found["gpu"] else ", no GPU"
    return (
        f"{found['processor']}, {found['cores']} core(s) {bf16} AVX512-BF16{gpu}, "
        f"Python {found['python']}"
    )
