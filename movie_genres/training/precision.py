"""The precision of a training: decided in one place, from all that can ask for one.

Flags, a recipe, and accelerate's configuration, which the launcher passes on in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env

from movie_genres.errors import InputError, TrainingError
from movie_genres.model.devices import choose_precision

_BY_LAUNCHER = "ACCELERATE_MIXED_PRECISION"
_HALF = ("bf16", "fp16")


def decide_precision(given: Mapping[str, Any]) -> str:
    """The precision that is asked for, or one that suits the device: float32, bf16 or fp16.

    Args:
        given: Flags that the user or a recipe gave, by name. `precision`, `bf16`, `fp16` and
            `use_cpu` are read; `bf16` and `fp16` may be False: then "auto" is another one.

    Raises:
        InputError: If two of them contradict, or the device cannot train in it.
    """
    asked: dict[str, str] = {}
    if given.get("precision", "auto") != "auto":
        asked[f"--precision {given['precision']}"] = given["precision"]
    asked.update({f"--{name}": name for name in _HALF if given.get(name)})
    excluded = {name: f"--{name} False" for name in _HALF if given.get(name) is False}
    # "no" is what a launcher passes on that was asked for nothing.
    if (by_launcher := os.environ.get(_BY_LAUNCHER, "no").lower()) != "no":
        if by_launcher not in _HALF:
            raise InputError(f"{_BY_LAUNCHER}={by_launcher} is not one of: no, {', '.join(_HALF)}")
        words = f"{_BY_LAUNCHER}={by_launcher} (accelerate launch --mixed_precision, or its file)"
        asked[words] = by_launcher
    wanted = {*asked.values()}
    against = [words for name, words in excluded.items() if name in wanted]
    if len(wanted) > 1 or against:
        raise InputError(f"{' and '.join([*asked, *against])} contradict; give one of them")
    cpu = given.get("use_cpu") or parse_flag_from_env("ACCELERATE_USE_CPU")
    if wanted == {"fp16"} and (cpu or not torch.accelerator.is_available()):
        raise InputError(f"{next(iter(asked))}: fp16 needs a GPU; a CPU trains in bf16 or float32")
    if wanted:
        return wanted.pop()
    suited = choose_precision("auto", on_cpu=cpu or not torch.cuda.is_available())
    return "float32" if suited in excluded else suited


def check_precision(accelerator: Accelerator, precision: str) -> None:
    """Raises: TrainingError: If the Trainer would compute in another precision than is recorded."""
    mixed = str(accelerator.mixed_precision)
    if mixed != {"float32": "no"}.get(precision, precision):
        raise TrainingError(f"accelerate computes in {mixed}, but the run is one in {precision}")
