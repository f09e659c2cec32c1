"""What is worth preparing: the same films to judge by, one way of preparing after another.

    python -m benchmarks.data_ablation --source tmdb_5000_movies.csv --seeds 10 11 12 \\
        --variant "--text-fields overview" --variant "--text-fields keywords overview" \\
        --work-dir runs/fields --max-length 128 --soup 1
    python -m benchmarks.data_ablation --source movies.csv --seeds 10 11 12 \\
        --variant "" --variant "--train-source more.csv" --work-dir runs/sources --max-length 128

Each `--variant` holds flags of prepare_dataset.py; the first is what the others are compared with.
Flags that this script does not know go to finetune.py. Complete runs are not repeated. Writes
`<work-dir>/ABLATION.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import call
from benchmarks.compare_report import HEADLINES, paired, spread
from benchmarks.machine import describe, machine
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args

Runs = dict[str, list[dict[str, Any]]]
"""metrics.json and report.json (`data`) of each seed, by variant."""


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="What is worth preparing.", allow_abbrev=False)
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--variant", action="append", required=True, metavar="FLAGS", dest="variants"
    )
    parser.add_argument("--work-dir", type=Path, required=True)
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    parse_finetune_args(flags)  # a wrong flag is told before hours of work
    found: Runs = {variant: [] for variant in args.variants}
    for seed in args.seeds:
        folders = [data_folder(args.work_dir, seed, variant) for variant in found]
        for variant, data in zip(found, folders, strict=True):
            prepare(args.source, seed, variant, data)
        check_same_films(folders)
        for variant, data in zip(found, folders, strict=True):
            found[variant].append(train(data, seed, flags))
    table = render(found, flags)
    (args.work_dir / "ABLATION.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


def data_folder(work_dir: Path, seed: int, variant: str) -> Path:
    digest = hashlib.sha256(json.dumps(shlex.split(variant)).encode()).hexdigest()[:8]
    return work_dir / f"data-{seed}-{digest}"


def prepare(source: str, seed: int, variant: str, folder: Path) -> None:
    if not (folder / "report.json").is_file():
        call("prepare_dataset.py", "--source", source, "--output-dir", folder, "--seed", seed,
             *shlex.split(variant))  # fmt: skip


def train(data: Path, seed: int, flags: Sequence[str]) -> dict[str, Any]:
    output = data.with_name(data.name.replace("data", "run", 1))
    call("finetune.py", "--dataset-dir", data, "--output-dir", output, "--seed", seed, *flags)
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return metrics | {"data": json.loads((data / "report.json").read_text(encoding="utf-8"))}


def check_same_films(folders: Sequence[Path]) -> None:
    """Those that choose the model and judge it, and their genres; more may be trained on.

    Raises:
        InputError: If these prepared folders do not hold the same.
    """
    judging = [(split, column) for split in ("validation", "test") for column in ("id", "genres")]
    first, *others = (
        [list(prepared.splits[split][column]) for split, column in judging]
        for prepared in map(load_prepared, folders)
    )
    for folder, films in zip(folders[1:], others, strict=True):
        if films != first:
            raise InputError(f"{folder} is not judged by the films of {folders[0]}; what differs?")


def render(found: Runs, flags: Sequence[str]) -> str:
    """A row for each variant: its scores; then a row for each but the first: the differences."""
    first = next(iter(found))
    lines = [
        "# What is worth preparing",
        "",
        f"`finetune.py {' '.join(flags)}`, test split, mean and standard deviation of "
        f"{len(found[first])} seed(s); {describe(machine())}.",
        "",
        "| variant | films to train on | named genres | " + " | ".join(HEADLINES) + " | "
        + " | ".join(f"TF-IDF: {score}" for score in HEADLINES) + " | mAP, given the plots alone |",
        "|---|---:|---:|" + "---:|" * (2 * len(HEADLINES) + 1),
    ]  # fmt: skip
    for variant, runs in found.items():
        films = np.mean([run["data"]["splits"]["train"] for run in runs])
        cells = [title(variant), f"{films:,.0f}", leaks(runs)]
        for model in (ours, tfidf):
            cells += [spread(values(model(runs), score).tolist(), 3) for score in HEADLINES]
        cells.append(spread(values(plots_alone(runs), "mAP").tolist(), 3))
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Minus {title(first)}, paired, 95 % interval over seeds:",
        "",
        "| variant | " + " | ".join([*HEADLINES, *(f"TF-IDF: {score}" for score in HEADLINES)])
        + " | mAP, given the plots alone |",
        "|---|" + "---:|" * (2 * len(HEADLINES) + 1),
    ]  # fmt: skip
    for variant, runs in list(found.items())[1:]:
        cells = [title(variant)]
        for model in (ours, tfidf):
            cells += [difference(model(runs), model(found[first]), score) for score in HEADLINES]
        cells.append(difference(plots_alone(runs), plots_alone(found[first]), "mAP"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def title(variant: str) -> str:
    """The flags, files by their names alone."""
    words = (Path(word).name if Path(word).is_file() else word for word in shlex.split(variant))
    return f"`{' '.join(words)}`" if variant else "as it comes"


def ours(runs: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    return [run["test"]["chosen"] for run in runs]


def tfidf(runs: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    return [run["baselines"]["tfidf_logreg"] for run in runs]


def plots_alone(runs: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """Of this project; where a text is no more than the plot, its scores are these."""
    return [run["plots_alone"] or run["test"]["chosen"] for run in runs]


def values(scores: Sequence[dict[str, float]], score: str) -> np.ndarray:
    return np.array([of_seed[HEADLINES[score]] for of_seed in scores])


def difference(
    scores: Sequence[dict[str, float]], reference: Sequence[dict[str, float]], score: str
) -> str:
    return str(paired(values(scores, score), values(reference, score)))


def leaks(runs: Sequence[dict[str, Any]]) -> str:
    """Share of the films whose field names one of their own genres, by field; mean over seeds."""
    shares = [run["data"]["genre_named_in"] for run in runs]
    return ", ".join(
        f"{name} {np.mean([of_seed[name] for of_seed in shares]):.0%}" for name in shares[0]
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
