"""Is memory flat over a long training?

    python -m benchmarks.memory --steps 2000

A random BERT of a few kilobytes, so that what the framework keeps would show: resident memory
after every tenth of the steps, with an evaluation and a checkpoint at each. Ends with 1 if the
second half of the steps adds more than --most-mib.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

import finetune
import prepare_dataset
from benchmarks.soak import make_encoder, make_films

PARTS = 10


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory of a long training.")
    parser.add_argument("--steps", type=int, default=2000, help="a multiple of 10")
    parser.add_argument("--logging-steps", type=int, default=25, help="each log is kept")
    parser.add_argument("--most-mib", type=float, default=1.0, help="growth over the second half")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    every = args.steps // PARTS
    held: dict[int, float] = {}
    train_step = finetune.GenreTrainer.training_step

    def watched(self: finetune.GenreTrainer, *inputs: Any, **more: Any) -> Any:
        step = self.state.global_step
        if (step and step % every == 0) or step == args.steps - 1:
            held[step] = psutil.Process().memory_info().rss / 2**20
        return train_step(self, *inputs, **more)

    finetune.GenreTrainer.training_step = watched  # type: ignore[method-assign]
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_films(folder / "films.csv")
        make_encoder(folder / "encoder")
        source = ["--source", str(folder / "films.csv"), "--min-genre-count", "5"]
        prepare_dataset.main([*source, "--output-dir", str(folder / "data")])
        finetune.main(
            ["--model-name-or-path", str(folder / "encoder"), "--dataset-dir", str(folder / "data"),
             "--output-dir", str(folder / "run"), "--max-length", "32", "--frozen-share", "0.5",
             "--soup", "1", "--max-steps", str(args.steps), "--precision", "float32",
             "--logging-steps", str(args.logging_steps),
             "--eval-strategy", "steps", "--eval-steps", str(every), "--save-strategy", "steps",
             "--save-steps", str(every), "--early-stopping-patience", "0"]
        )  # fmt: skip
    print("\nstep   MiB resident")
    for step, mib in held.items():
        print(f"{step:<6} {mib:.1f}")
    steps = list(held)
    growth = held[steps[-1]] - held[steps[(len(steps) - 1) // 2]]
    print(f"the second half adds {growth:+.1f} MiB")
    return int(growth > args.most_mib)


if __name__ == "__main__":
    sys.exit(main())
