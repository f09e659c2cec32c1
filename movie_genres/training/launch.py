"""How a run is launched: its processes, the devices they find, and how they divide a step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import get_int_from_env, parse_flag_from_env
from transformers import TrainingArguments

from movie_genres.errors import InputError, one_line


def started_processes() -> int:
    """How many processes the launcher has started, on all machines."""
    # torchrun and accelerate, then MPI's launchers: where accelerate itself looks.
    return get_int_from_env(("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"), 1)


def divide_step(given: Mapping[str, Any], processes: int, *, default: int) -> dict[str, int]:
    """Divide the films of an optimiser step over processes and accumulation steps.

    Args:
        given: Flags by name. Batch flags without `films_per_step` have their stock meaning.
        processes: That train together.
        default: Films per step, and films per process where there is only the other batch flag.

    Returns:
        `films_per_step`, `per_device_train_batch_size` and `gradient_accumulation_steps`.

    Raises:
        InputError: If they cannot be divided.
    """
    batch = given.get("per_device_train_batch_size")
    accumulation = given.get("gradient_accumulation_steps")
    films = given.get("films_per_step")
    if films is None and (batch or accumulation):
        films = (batch or default) * (accumulation or 1) * processes
    films = default if films is None else films
    if films < 1:
        raise InputError(f"--films-per-step {films} is less than 1")
    unit = processes * (batch or 1) * (accumulation or 1)
    if films % unit or (batch and accumulation and films != unit):
        nearest = unit if batch and accumulation else max(unit, round(films / unit) * unit)
        over = [f"{processes} process(es)"] + [f"{batch} films each"] * bool(batch)
        over += [f"{accumulation} accumulation steps"] * bool(accumulation)
        raise InputError(
            f"--films-per-step {films} cannot be divided into {' x '.join(over)}; the nearest "
            f"that can is {nearest}"
        )
    if batch:
        accumulation = films // (batch * processes)
    accumulation = accumulation or 1
    return {
        "films_per_step": films,
        "per_device_train_batch_size": films // (accumulation * processes),
        "gradient_accumulation_steps": accumulation,
    }


def check_devices(processes: int, *, use_cpu: bool) -> None:
    """Raises: InputError: If one process would train on several GPUs (`DataParallel`).

    That loses autocast, and with it the precision of the run.
    """
    on_cpu = use_cpu or parse_flag_from_env("ACCELERATE_USE_CPU")
    if processes == 1 and not on_cpu and (gpus := torch.cuda.device_count()) > 1:
        raise InputError(
            f"{gpus} GPUs are visible to one process; give one process to each: accelerate launch "
            f"--config_file configs/accelerate/ddp.yaml --num_processes {gpus} finetune.py ..., "
            "or show it one: CUDA_VISIBLE_DEVICES=0"
        )


def check_world(args: TrainingArguments, processes: int) -> None:
    """Raises: InputError: If the processes of the launcher would each train alone."""
    if args.world_size != processes:
        raise InputError(
            f"the launcher started {processes} processes, which do not see each other; "
            "configs/accelerate has configurations in which they do"
        )


def check_sharding() -> None:
    """Raises: InputError: If no process would have the whole weights at the end (ZeRO-3)."""
    if not parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        return
    stage: Any = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
    if file := os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE"):
        try:
            config = json.loads(Path(file).read_text(encoding="utf-8"))
            stage = config.get("zero_optimization", {}).get("stage", 0)
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(f"{file} is no DeepSpeed configuration: {one_line(error)}") from None
    if str(stage) == "3":
        raise InputError(
            "ZeRO-3 of DeepSpeed leaves no process with whole weights to save; give ZeRO stage 1 "
            "or 2, or FSDP: accelerate launch --config_file configs/accelerate/fsdp.yaml"
        )
