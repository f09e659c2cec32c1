"""Where the time of a training goes, and how near it comes to what the machine can multiply.

    python -m benchmarks.time_spent --dataset-dir data/prepared --max-length 128 --soup 1

finetune.py runs as it is, into a folder that is thrown away, with timers around its parts; flags
that this script does not know go to it. Useful work is the matrix products of forward and backward
over the films without padding, counted by torch on single films of several lengths; a parabola in
the length, which they follow, gives those of all others. Beside it stand the products of the same
layers' weights alone (forward and both of backward), on as many tokens as a batch has on average,
in the precision of the training.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import accelerate
import numpy as np
import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import finetune
from benchmarks.machine import describe, machine
from movie_genres.command_line import exit_code
from movie_genres.training import probing

COUNTED_FILMS = 6
SECONDS_PER_PRODUCT = 0.3
_COUNTING = "counting"
SEALED = {"first pass", "evaluation", "judging and report", _COUNTING}
"""What happens inside these is theirs."""
PARTS: list[tuple[Any, str, str]] = [
    (finetune, "load_prepared", "opening the films"),
    (finetune, "load_encoder", "loading the encoder"),
    (finetune, "make_start", "tokenising and other starting"),
    (probing.FirstPass, "make", "first pass"),
    (probing, "fit_probe", "probe"),
    (finetune.GenreTrainer, "get_batch_samples", "loading batches"),
    (finetune.GenreTrainer, "compute_loss", "forward"),
    (accelerate.Accelerator, "backward", "backward"),
    (accelerate.Accelerator, "clip_grad_norm_", "optimiser"),
    (AcceleratedOptimizer, "step", "optimiser"),
    (finetune.GenreTrainer, "evaluation_loop", "evaluation"),
    (finetune.GenreTrainer, "_save_checkpoint", "checkpoints"),
    (finetune, "train", "rest of training"),
    (finetune, "finish", "judging and report"),
]
"""Owner, function, name of the part."""
_COMPUTE_LOSS = finetune.GenreTrainer.compute_loss  # without a timer


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="Where the time of a training goes.", allow_abbrev=False
    )
    parser.add_argument("--dataset-dir", default="data/prepared", help="as in finetune.py")
    return parser.parse_known_args(argv)


class Clock:
    """Seconds by part; what a part inside another one takes is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[tuple[str, float]] = []
        """Names of the parts that run, and the seconds of parts inside them."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if any(outer in SEALED for outer, _ in self._open):
            yield
            return
        began = time.perf_counter()
        self._open.append((name, 0.0))
        try:
            yield
        finally:
            took = time.perf_counter() - began
            _, inside = self._open.pop()
            self.seconds[name] += took - inside
            if self._open:
                outer, before = self._open[-1]
                self._open[-1] = outer, before + took

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return timed


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    clock, trainers = Clock(), []
    build = finetune.build_trainer

    def watched(*given: Any) -> finetune.GenreTrainer:
        trainers.append(build(*given))
        return trainers[-1]

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for owner, name, part in PARTS:
            timed = clock.around(getattr(owner, name), part)
            stack.enter_context(patch.object(owner, name, timed))
        stack.enter_context(patch.object(finetune, "build_trainer", watched))
        counts: list[float] = []
        finish = finetune.finish

        def count_and_finish(*given: Any) -> None:
            # Before the states that the films are read from are removed.
            with clock.part(_COUNTING):
                counts.extend(useful_flops(trainer) for trainer in trainers)
            finish(*given)

        stack.enter_context(patch.object(finetune, "finish", count_and_finish))
        began = time.perf_counter()
        code = finetune.main(
            ["--dataset-dir", args.dataset_dir, "--output-dir", str(Path(folder) / "run"), *flags]
        )
        if code:
            return code  # it was stopped
        total = time.perf_counter() - began - clock.seconds.pop(_COUNTING)
    print("\n" + report(clock, total, sum(counts), plain_rate(trainers[0]), trainers[0]))
    return 0


def useful_flops(trainer: finetune.GenreTrainer) -> float:
    """Of the matrix products of all steps of a training, padding left out; 2 per multiply-add."""
    lengths = trainer.train_lengths
    order = np.argsort(lengths, kind="stable")
    rows = order[np.linspace(0, len(order) - 1, COUNTED_FILMS).astype(int)]
    counted = [count_flops(trainer, int(row)) for row in rows]
    degree = min(2, len(np.unique(lengths[rows])) - 1)
    parabola = np.polyfit(lengths[rows], counted, degree)
    epochs = float(trainer.state.epoch or 0)
    return float(np.polyval(parabola, lengths).sum() * epochs)


def count_flops(trainer: finetune.GenreTrainer, row: int) -> int:
    """Of forward and backward of one film."""
    model: Any = trainer.model
    films: Any = trainer.train_dataset
    film = trainer.data_collator([films[row]])
    inputs = {name: value.to(trainer.args.device) for name, value in film.items()}
    # Fused attention is not counted on every device; written as products it is.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        _COMPUTE_LOSS(trainer, model, inputs).backward()
    model.zero_grad()
    return counter.get_total_flops()


def plain_rate(trainer: finetune.GenreTrainer) -> float:
    """FLOP/s of the layers' weights times as many tokens as a batch has, nothing else."""
    tokens = int(trainer.args.train_batch_size * trainer.train_lengths.mean())
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision(trainer), torch.float32)
    model: Any = trainer.model
    shapes = [
        (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layer" in name and module.weight.requires_grad
    ]
    flops = seconds = 0.0
    for shape in set(shapes):
        n_out, n_in = shape
        took = time_products(tokens, n_out, n_in, dtype, trainer.args.device)
        seconds += took * shapes.count(shape)
        flops += 3 * 2.0 * tokens * n_out * n_in * shapes.count(shape)
    return flops / seconds


def precision(trainer: finetune.GenreTrainer) -> str:
    return "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "float32"


def time_products(
    tokens: int, n_out: int, n_in: int, dtype: torch.dtype, device: torch.device
) -> float:
    """Seconds of one forward product and the two of its backward, the median."""
    x = torch.randn(tokens, n_in, device=device).to(dtype)
    weight = torch.randn(n_out, n_in, device=device).to(dtype)
    gradient = torch.randn(tokens, n_out, device=device).to(dtype)
    took: list[float] = []
    until = time.perf_counter() + SECONDS_PER_PRODUCT
    while time.perf_counter() < until or len(took) < 5:
        began = time.perf_counter()
        x @ weight.T, gradient @ weight, gradient.T @ x
        if x.is_cuda:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def report(
    clock: Clock, total: float, flops: float, rate: float, trainer: finetune.GenreTrainer
) -> str:
    lines = [f"{describe(machine())}, {precision(trainer)}", "", "| part | seconds | share |",
             "|---|---:|---:|"]  # fmt: skip
    known = dict(sorted(clock.seconds.items(), key=lambda item: -item[1]))
    for name, seconds in (known | {"everything else": total - sum(known.values())}).items():
        lines.append(f"| {name} | {seconds:.1f} | {seconds / total:.1%} |")
    products = known["forward"] + known["backward"]
    training = sum(
        known.get(name, 0.0)
        for name in ("loading batches", "forward", "backward", "optimiser", "rest of training")
    )
    lines += [
        "", "| useful GFLOP/s | | of the plain products |", "|---|---:|---:|",
        f"| forward and backward | {flops / products / 1e9:.1f} | {flops / products / rate:.0%} |",
        f"| whole steps | {flops / training / 1e9:.1f} | {flops / training / rate:.0%} |",
        f"| plain products | {rate / 1e9:.1f} | |",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
