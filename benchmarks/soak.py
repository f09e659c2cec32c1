"""Kill preparation and training at random moments: do the same commands end with the same result?

    python -m benchmarks.soak --kills 20

Made-up films and a random BERT of a few kilobytes: a run takes seconds. Each round starts from
nothing and is killed by SIGKILL: every other one at a moment drawn from the length of a whole run,
the rest as soon as a drawn number of files has been written, so that short stages have their turn.
The same two commands then run again. They must end with the metrics, thresholds and probabilities
of a run that was not killed, to the last digit, and with the same files, none of them temporary.
Exit code 1 if one round does not.

Each command is a process of its own, forked from one that has imported everything: a fresh one
spends three quarters of its time on imports, in which nothing can be lost.
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
COMPARED = ("test", "validation", "thresholds", "per_genre", "baselines")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill both commands and run them again.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the drawn moments")
    parser.add_argument("--most-seconds", type=int, default=1800, help="start no round later")
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
        rounds = different = 0
        for number in range(args.kills):
            if time.monotonic() - began > args.most_seconds:
                break
            seconds, files = draw.uniform(0, took), 0
            if number % 2:
                seconds, files = 0.0, draw.randint(1, len(whole["files"]))
            kill_once(folder, folder / "round", seconds=seconds, files=files)
            kept = len(files_of(folder / "round"))
            found, _ = run_whole(folder, folder / "round")
            same = found == whole
            different += not same
            rounds += 1
            when = f"when {files} files were written" if files else f"after {seconds:.1f} s"
            print(f"{rounds}: killed {when}, {kept} files kept: "
                  f"{'the same' if same else difference(whole, found)}", flush=True)  # fmt: skip
            shutil.rmtree(folder / "round", ignore_errors=True)
    print(f"{rounds} kills, {different} with another result, {time.monotonic() - began:.0f} s")
    return 1 if different or not rounds else 0


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
             "--soup", "2", "--num-train-epochs", "3", "--learning-rate", "1e-3",
             "--eval-strategy", "steps", "--eval-steps", "10", "--save-strategy", "steps",
             "--save-steps", "10", "--precision", "float32"]  # fmt: skip
    return [(prepare_dataset.main, prepare), (finetune.main, train)]


def start(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in a process of its own; its exit code is the function's result."""
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
    """Run both commands to their end: the result, and the seconds."""
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
    outcome["files"] = files_of(work)
    return outcome, time.monotonic() - began


def difference(whole: dict[str, Any], found: dict[str, Any]) -> str:
    names = [name for name in whole if whole[name] != found[name]]
    files = set(whole["files"]) ^ set(found["files"])
    return f"DIFFERENT in {', '.join(names)} {' '.join(sorted(files))}"


def files_of(work: Path) -> list[str]:
    """Files and folders below it."""
    return sorted(str(path.relative_to(work)) for path in work.rglob("*"))


def kill_once(folder: Path, work: Path, *, seconds: float, files: int) -> None:
    """Run both commands and kill the one that runs then.

    Args:
        folder: Of films and encoder.
        work: Where the commands write.
        seconds: After which to kill.
        files: Kill when at least so many are there, too.
    """
    began = time.monotonic()
    for main, arguments in commands(folder, work):
        process = start(main, arguments)
        while process.is_alive():
            if time.monotonic() - began >= seconds and count_files(work) >= files:
                process.kill()
                process.join()
                return
            time.sleep(0.001)
        process.join()


def count_files(work: Path) -> int:
    try:
        return len(files_of(work))
    except FileNotFoundError:  # a folder was renamed meanwhile
        return 0


if __name__ == "__main__":
    sys.exit(main())
