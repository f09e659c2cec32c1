"""What the machine offers: CPU threads, precision, and what a run cost of its memory."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

PRECISIONS = ("auto", "float32", "bf16", "fp16")


def use_all_cores(local_processes: int) -> None:
    """Give each process of this machine its share of the physical cores, in torch and in BLAS.

    `accelerate launch` sets OMP_NUM_THREADS to 1 where it is not set, which halves the speed on
    two cores already. scikit-learn computes by the BLAS of NumPy and SciPy, which read that
    variable when they were imported.
    """
    # Using a model needs neither of these, nor accelerate: space/requirements.txt.
    import psutil
    from threadpoolctl import threadpool_limits

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = min(available or 1, psutil.cpu_count(logical=False) or available or 1)
    threads = max(1, cores // local_processes)
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")


def choose_precision(requested: str, *, on_cpu: bool) -> str:
    """The precision of training: float32, bf16 or fp16 (autocast; the weights stay float32).

    "auto" takes bf16 where the device computes in it (emulation is slower than float32), fp16 on
    older GPUs, and float32 elsewhere.
    """
    if requested != "auto":
        return requested
    if on_cpu:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if native else "float32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def weights_are_sharded() -> bool:
    """Whether accelerate is set to shard weights over processes (FSDP, DeepSpeed)."""
    from accelerate.utils import parse_flag_from_env

    return any(parse_flag_from_env(f"ACCELERATE_USE_{name}") for name in ("FSDP", "DEEPSPEED"))


def forbid_tf32() -> None:
    """Compute what is float32 in float32 from now on.

    `--tf32`, and `--torch_compile` on an Ampere GPU, let matrix products round to 10 bits. That
    suits a training, but changes probabilities by up to 1e-3.
    """
    backends: Any = torch.backends
    for backend in (
        *(backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn),
        *(backends.mkldnn, backends.mkldnn.matmul),
    ):
        backend.fp32_precision = "ieee"
    # The older flag does not follow, and whoever reads it then, as the ONNX export, gets an error.
    backends.cudnn.allow_tf32 = False


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What a Trainer of this precision computes in: float32, bf16 or fp16."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def peak_memory_bytes() -> int | None:
    """Peak memory of this process: on the GPU if it uses one, else resident, in bytes.

    None where the system does not report it (Windows).
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def device_name(device: torch.device) -> str:
    """As a card names it: `NVIDIA H100 80GB HBM3`, or `cpu (x86_64, 2 threads)`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"
    return device.type


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
