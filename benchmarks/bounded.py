"""How much memory the evaluation of many films takes.

    python -m benchmarks.bounded --films 1000000

Made-up films of a few tokens, which are made when they are read, 25 genres, and a random BERT of a
few kilobytes: what is held is what the evaluation keeps. First the evaluation of training
(`GenreTrainer.evaluate`): what its loop holds when the last film is read, and the peak with the
scores computed from it. Then `predict_logits`, by which trained models are judged (its texts are
there at the start). Each in a process of its own. The floor is the logits alone, float32.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainerCallback,
)

import finetune
from benchmarks.soak import make_encoder
from metrics import GenreMetrics
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model import devices
from movie_genres.training.arguments import parse_finetune_args

GENRES, LENGTH = 25, 8
PATHS = ("evaluate", "predict_logits")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory of an evaluation.")
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--one", choices=PATHS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.one:
        with tempfile.TemporaryDirectory() as name:
            make_encoder(Path(name) / "encoder")
            measured = {"evaluate": evaluate, "predict_logits": predict}[args.one](args, Path(name))
        print(json.dumps(measured))
        return 0
    print("| path | films | MiB at start | added by the loop | bytes per film | logits alone | "
          "peak added |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|")
    given = list(sys.argv[1:] if argv is None else argv)
    for path in PATHS:
        command = [sys.executable, "-m", "benchmarks.bounded", *given, "--one", path]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(row(path, json.loads(done.stdout.splitlines()[-1])), flush=True)
    return 0


def row(path: str, found: dict[str, int]) -> str:
    films, start = found["films"], found["start"]
    held = found["held"] - start
    cells = [
        f"`{path}`", f"{films:,}", f"{start / 2**20:,.0f}", f"{held / 2**20:,.0f} MiB",
        f"{held / films:,.0f}", f"{4 * GENRES * films / 2**20:,.0f} MiB",
        f"{(found['peak'] - start) / 2**20:,.0f} MiB",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


class MadeUpFilms(TorchDataset[dict[str, Any]]):
    """Films that take no memory until they are read."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < self.count:
            raise IndexError(row)  # ends an iteration
        tokens = [2, *(5 + (row * (7 + place)) % 20 for place in range(LENGTH - 2)), 3]
        labels = (np.arange(GENRES) * 7 + row) % 11 == 0
        return {
            "input_ids": tokens,
            "attention_mask": [1] * LENGTH,
            "labels": labels.astype(np.float32),
        }


class Held(TrainerCallback):
    """The most that the process held at the end of a batch, in bytes."""

    def __init__(self) -> None:
        self.start = self.most = 0

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        held = resident()
        self.start, self.most = self.start or held, max(self.most, held)


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def evaluate(args: argparse.Namespace, folder: Path) -> dict[str, int]:
    """By the Trainer that trains; the start is after the first batch."""
    devices.use_all_cores(1)
    _, arguments = parse_finetune_args(
        ["--output-dir", str(folder / "run"), "--per-device-eval-batch-size", str(args.batch_size),
         "--precision", "float32", "--disable-tqdm", "True"]
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "encoder", num_labels=GENRES, ignore_mismatched_sizes=True, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "encoder")
    held = Held()
    trainer = finetune.GenreTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([MadeUpFilms(2)[row] for row in range(2)]),
        eval_dataset=MadeUpFilms(args.films),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=GenreMetrics([f"genre {number}" for number in range(GENRES)]),
        pos_weight=np.ones(GENRES, dtype=np.float32),
        callbacks=[held],
    )
    trainer.evaluate()
    peak = devices.peak_memory_bytes() or 0
    return {"films": args.films, "start": held.start, "held": held.most, "peak": peak}


def predict(args: argparse.Namespace, folder: Path) -> dict[str, int]:
    """By the function that judges a trained model."""
    devices.use_all_cores(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "encoder", num_labels=GENRES, ignore_mismatched_sizes=True, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "encoder")
    count = args.films
    texts = [f"old house night {number}" for number in range(count)]
    predict_logits(model, tokenizer, texts[:1], max_length=32)
    start = resident()
    logits = predict_logits(model, tokenizer, texts, max_length=32)
    assert logits.shape == (count, GENRES)
    peak = devices.peak_memory_bytes() or 0
    return {"films": count, "start": start, "held": resident(), "peak": peak}


if __name__ == "__main__":
    sys.exit(main())
