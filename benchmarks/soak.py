"""Kill preparation and training at random moments; what comes of the same commands given again?

    python -m benchmarks.soak --kills 20

Made-up films and a random BERT of a few kilobytes: a run takes seconds. Each round starts from
nothing and is killed by SIGKILL: every other one at a moment drawn from the length of a whole run,
the rest as soon as a file of one of the stages appears, so that short ones have their turn. It is
then given the same two commands again, which must end with the metrics, thresholds and
probabilities of a run that no one killed, to the last digit, and with the same files, nothing
temporary among them. Ends with 1 if one does not.

Each command is a process of its own, forked from one that has imported everything: a fresh one
spends three quarters of its time on imports, in which there is nothing to lose.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, logging

import finetune
import prepare_dataset

WORDS = {
    "Comedy": ["jokes", "clumsy", "wedding", "prank"],
    "Horror": ["ghost", "blood", "cellar", "curse"],
    "Western": ["sheriff", "saloon", "desert", "gunfight"],
}
STAGES = (
    ".data-*", "run/checkpoints/soft_labels*", "run/checkpoints/first_pass",
    "run/checkpoints/probe*", "run/checkpoints/training-1/checkpoint-*",
    "run/checkpoints/trained-1*", "run/checkpoints/training-2/checkpoint-*",
    "run/checkpoints/trained-2*", "run/model*", "run/predictions.parquet", "run/README.md",
)  # fmt: skip
"""What appears in the course of a run."""
MOST_DELAY = 0.03
"""Seconds, after a file appears: what a stage that writes it takes."""
COMPARED = ("test", "validation", "thresholds", "per_genre", "baselines")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill and repeat.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--most-seconds", type=int, default=1800, help="start no round after this")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_films(folder / "films.csv")
        start(make_encoder, folder / "encoder").join()  # no thread in the process that is forked
        began = time.monotonic()
        whole, took = run_whole(folder, folder / "whole")
        print(f"a whole run takes {took:.1f} s", flush=True)
        moments, different = [], 0
        for number in range(args.kills):
            if time.monotonic() - began > args.most_seconds:
                break
            stage, moment = None, draw.uniform(0, took)
            if number % 2:
                stage = STAGES[number // 2 % len(STAGES)]
                moment = draw.uniform(0, MOST_DELAY)
            where = kill_once(folder, folder / "round", stage, moment)
            found, _ = run_whole(folder, folder / "round")
            same = found == whole
            different += not same
            moments.append(moment)
            begin = f"{moment * 1e3:.0f} ms after {stage}" if stage else f"after {moment:.1f} s"
            print(f"{number + 1}: killed {begin} {where}: "
                  f"{'the same' if same else difference(whole, found)}", flush=True)  # fmt: skip
            shutil.rmtree(folder / "round")
    print(f"{len(moments)} kills, {different} with another result, "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    return 1 if different or not moments else 0


def make_films(path: Path) -> None:
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "overview", "genres"])
        for number in range(400):
            genres = draw.sample(sorted(WORDS), draw.choice([1, 1, 2]))
            words = [draw.choice(WORDS[genre]) for genre in genres for _ in range(3)]
            words += draw.choices(["the", "old", "house", "night", "train"], k=6)
            draw.shuffle(words)
            writer.writerow([number, f"Film {number}", f"{' '.join(words)} {number}",
                             "|".join(genres)])  # fmt: skip


def make_encoder(folder: Path) -> None:
    folder.mkdir()
    words = [word for words in WORDS.values() for word in words]
    words += ["the", "old", "house", "night", "train", "film", *"0123456789"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    digits = [f"##{digit}" for digit in range(10)]
    (folder / "vocab.txt").write_text("\n".join([*special, *words, *digits]), encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)


Command = tuple[Callable[[list[str]], int], list[str]]


def commands(folder: Path, work: Path) -> list[Command]:
    prepare = ["--source", str(folder / "films.csv"), "--output-dir", str(work / "data"),
               "--min-genre-count", "5", "--num-proc", "2"]  # fmt: skip
    train = ["--model-name-or-path", str(folder / "encoder"), "--dataset-dir", str(work / "data"),
             "--output-dir", str(work / "run"), "--max-length", "32", "--frozen-share", "0.5",
             "--soup", "2", "--soft-labels", "0.5", "--num-train-epochs", "3",
             "--eval-strategy", "steps", "--eval-steps", "10", "--save-strategy", "steps",
             "--save-steps", "10", "--learning-rate", "1e-3", "--precision", "float32"]  # fmt: skip
    return [(prepare_dataset.main, prepare), (finetune.main, train)]


def start(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in a process of its own, whose exit code is what it gives."""
    process = multiprocessing.get_context("fork").Process(
        target=_quietly, args=(function, *arguments)
    )
    process.start()
    return process


def _quietly(function: Callable[..., Any], *arguments: Any) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.exit(function(*arguments))


def run_whole(folder: Path, work: Path) -> tuple[dict[str, Any], float]:
    """Give both commands to their end: what came out, and the seconds."""
    began = time.monotonic()
    for main, arguments in commands(folder, work):
        process = start(main, arguments)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{main.__module__} ended with {process.exitcode}")
    metrics = json.loads((work / "run" / "metrics.json").read_text(encoding="utf-8"))
    predictions = pd.read_parquet(work / "run" / "predictions.parquet")
    outcome = {name: metrics[name] for name in COMPARED}
    outcome["probabilities"] = [values.tolist() for values in predictions["probabilities"]]
    outcome["files"] = sorted(str(path.relative_to(work)) for path in work.rglob("*"))
    return outcome, time.monotonic() - began


def difference(whole: dict[str, Any], found: dict[str, Any]) -> str:
    names = [name for name in whole if whole[name] != found[name]]
    files = set(whole["files"]) ^ set(found["files"])
    return f"DIFFERENT in {', '.join(names)} {' '.join(sorted(files))}"


def kill_once(folder: Path, work: Path, stage: str | None, moment: float) -> str:
    """Give both commands and kill the one that runs at the moment; what was there by then.

    Args:
        folder: Of films and encoder.
        work: Where the commands write.
        stage: What must have appeared in it, as a pattern; None: nothing.
        moment: Seconds after that.
    """
    deadline = None if stage else time.monotonic() + moment
    for main, arguments in commands(folder, work):
        process = start(main, arguments)
        while process.is_alive() and not (deadline and time.monotonic() >= deadline):
            if deadline is None and any(work.glob(stage or "*")):
                deadline = time.monotonic() + moment
            time.sleep(0.001)
        if process.is_alive():
            process.kill()
            process.join()
            break
        process.join()
    run = work / "run"
    names = [path.name for path in [*run.glob("*"), *run.glob("checkpoints/*")]]
    return f"with {', '.join(sorted(names))}" if names else "before training"


if __name__ == "__main__":
    sys.exit(main())
