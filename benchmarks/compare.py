"""This project beside other recipes, with fewer films, or on films prepared in other ways.

    python -m benchmarks.compare --source movies.csv --seeds 10 11 12 --work-dir runs/compare \\
        --recipes ours tfidf embeddings stock tuned
    python -m benchmarks.compare --source movies.csv --seeds 10 11 --work-dir runs/films \\
        --films 500 1000 2000 4000
    python -m benchmarks.compare --source movies.csv --seeds 10 11 12 --work-dir runs/sources \\
        --variant "" --variant "--train-source more.csv"

Every recipe trains on every seed's split, one after another, each in a process of its own, and
passes through the same calibration and threshold tuner. Flags that this script does not know go to
finetune.py. Finished trainings are not repeated: the same command completes an interrupted
comparison. Writes `<work-dir>/results.md`, the files behind it in `<work-dir>/results/`, and with
several `--films` `learning_curve.png`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.compare_report import Results, Row, draw_learning_curves, learning_curves, render
from benchmarks.recipes import RECIPES
from movie_genres.command_line import EXIT_FAILURE, exit_code
from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.model.encoder import DEFAULT_ENCODER, find_encoder
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args

ROOT = Path(__file__).parent.parent


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="This project beside other recipes, over several seeds.",
        allow_abbrev=False,  # --seed is not --seeds
    )
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="of split and training")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["ours", "tfidf"])
    parser.add_argument(
        "--films", type=int, nargs="+", default=[],
        help="films to train on (default: all); validation shrinks alike, the test split stays",
    )  # fmt: skip
    parser.add_argument(
        "--variant", action="append", metavar="FLAGS", dest="variants",
        help="flags of prepare_dataset.py; repeat it to compare ways to prepare with the first",
    )  # fmt: skip
    parser.add_argument("--max-length", type=int, default=128, help="tokens; TF-IDF reads all")
    parser.add_argument("--model-name-or-path", default=DEFAULT_ENCODER, help="for all recipes")
    args, flags = parser.parse_known_args(argv)
    args.variants = list(dict.fromkeys(args.variants or [""]))
    args.seeds = list(dict.fromkeys(args.seeds))
    return args, flags


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    # A wrong flag is reported before hours of work.
    find_encoder(args.model_name_or_path)
    parse_finetune_args(["--max-length", str(args.max_length), *flags])
    settings = {
        "source": args.source, "model_name_or_path": args.model_name_or_path,
        "max_length": args.max_length, "flags": flags,
    }  # fmt: skip
    check_settings(args.work_dir, settings)
    jobs = list(plan(args))
    failed = run_missing(jobs, settings)
    results = read_results(jobs)
    if results:
        given = sys.argv[1:] if argv is None else argv
        command = shlex.join(["python", "-m", "benchmarks.compare", *given])
        report = render(results, command, failed)
        (args.work_dir / "results.md").write_text(report, encoding="utf-8")
        if len(args.films) > 1:
            figure = draw_learning_curves(learning_curves(results))
            figure.savefig(args.work_dir / "learning_curve.png", dpi=150)
            plt.close(figure)
        print(report)
    return EXIT_FAILURE if failed else 0


@dataclass(frozen=True)
class Job:
    """One recipe on one split."""

    work_dir: Path
    seed: int
    row: Row

    @property
    def whole(self) -> Path:
        """The prepared folder with all films of this seed and variant."""
        flags = json.dumps(shlex.split(self.row.variant))
        return self.work_dir / f"data-{self.seed}-{hashlib.sha256(flags.encode()).hexdigest()[:8]}"

    @property
    def data(self) -> Path:
        """The prepared folder to train on."""
        name = self.whole.name + (f"-{self.row.films}" if self.row.films else "")
        return self.whole.with_name(name)

    @property
    def result(self) -> Path:
        name = f"{self.data.name.removeprefix('data-')}-{self.row.recipe}.json"
        return self.work_dir / "results" / name


def plan(args: argparse.Namespace) -> Iterator[Job]:
    """All jobs, in the order of running."""
    for seed in args.seeds:
        for variant in args.variants:
            for films in args.films or [None]:
                for recipe in args.recipes:
                    yield Job(args.work_dir, seed, Row(recipe, variant, films))


def check_settings(work_dir: Path, settings: dict[str, Any]) -> None:
    """Keep the settings in the work folder.

    Raises:
        InputError: If it holds something else, or results of other settings: they do not compare.
    """
    path = work_dir / "settings.json"
    names = {entry.name for entry in work_dir.iterdir()} if work_dir.is_dir() else set()
    if names and path.name not in names:
        raise InputError(f"--work-dir {work_dir} holds something else; name another folder")
    if len(names) > 1:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        for name, value in settings.items():
            if earlier[name] != value:
                raise InputError(
                    f"--work-dir {work_dir} holds a comparison with {name} {earlier[name]!r}, "
                    f"not {value!r}; name another folder"
                )
    work_dir.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def run_missing(jobs: Sequence[Job], settings: dict[str, Any]) -> list[str]:
    """Run the jobs that have no result yet; one that fails does not stop the others.

    Returns:
        A sentence for each job that failed.

    Raises:
        InputError: If the films cannot be prepared, or variants are judged on different films.
    """
    failed = []
    judged_on: dict[int, Path] = {}
    for job in jobs:
        if job.result.is_file():
            continue
        prepare(job, settings["source"])
        check_same_films(judged_on.setdefault(job.seed, job.whole), job.whole)
        job.result.parent.mkdir(exist_ok=True)
        code = call(
            "-m", "benchmarks.recipes", "--recipe", job.row.recipe, "--data", job.data,
            "--output", job.result, "--seed", job.seed, "--max-length", settings["max_length"],
            "--model-name-or-path", settings["model_name_or_path"], *settings["flags"],
        )  # fmt: skip
        if code:
            failed.append(f"{job.row.recipe}, seed {job.seed}: ended with exit code {code}")
            print(f"failed: {failed[-1]}; the same command tries it again", flush=True)
    return failed


def prepare(job: Job, source: str) -> None:
    if not (job.whole / "report.json").is_file():
        flags = shlex.split(job.row.variant)
        if call(ROOT / "prepare_dataset.py", "--source", source, "--output-dir", job.whole,
                "--seed", job.seed, *flags):  # fmt: skip
            raise InputError(f"--source {source} cannot be prepared with {flags}")
    if job.row.films:
        keep_films(job.whole, job.data, job.row.films, job.seed)


def keep_films(whole: Path, part: Path, count: int, seed: int) -> None:
    """Copy a prepared folder with `count` training films (all if there are fewer).

    Validation keeps the same share of its films: a user with fewer films has fewer of both. Of one
    seed a larger part holds the smaller ones.
    """
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(whole, part)
    paths = [part / "data" / f"{s}-00000-of-00001.parquet" for s in ("train", "validation")]
    splits = [pd.read_parquet(path) for path in paths]
    share = min(1.0, count / len(splits[0]))
    for path, films in zip(paths, splits, strict=True):
        order = np.random.default_rng(seed).permutation(len(films))
        kept = np.sort(order[: round(share * len(order))])
        films.iloc[kept].to_parquet(path, index=False)


def check_same_films(first: Path, other: Path) -> None:
    """Raises: InputError: If two prepared folders differ in validation or test films or genres."""
    if first == other:
        return
    held_out = [(split, column) for split in ("validation", "test") for column in ("id", "genres")]
    films = [
        [list(prepared.splits[split][column]) for split, column in held_out]
        for prepared in map(load_prepared, (first, other))
    ]
    if films[0] != films[1]:
        raise InputError(f"{other} does not hold out the films of {first}: they do not compare")


def read_results(jobs: Sequence[Job]) -> Results:
    """Of the jobs that are done."""
    found: Results = {}
    for job in jobs:
        if job.result.is_file():
            result = json.loads(job.result.read_text(encoding="utf-8"))
            found.setdefault(job.row, {})[job.seed] = result | {"path": job.result}
    return found


def call(*arguments: object) -> int:
    """Run Python with these arguments from the root of the project; its exit code."""
    command = [sys.executable, *map(str, arguments)]
    print("$ python", shlex.join(command[1:]), flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(exit_code(main))
