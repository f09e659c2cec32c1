"""How good a model gets from N films: this project and TF-IDF on growing parts of one data set.

    python -m benchmarks.learning_curve --source movies.csv --seeds 10 11 12 \\
        --work-dir runs/curve --max-length 128

Of each seed's split, train and validation are cut to the same share of their films, as a user with
fewer films would have fewer of both; the test split stays whole. Flags that this script does not
know go to finetune.py. Complete runs are not repeated. Writes `<work-dir>/LEARNING_CURVE.md` and
`learning_curve.png`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.commands import call
from benchmarks.compare_report import HEADLINES
from benchmarks.machine import describe, machine
from movie_genres.command_line import exit_code
from movie_genres.figure_style import BLUE, ORANGE, STYLE
from movie_genres.training.arguments import parse_finetune_args

MODELS = {"this project": "chosen", "TF-IDF + logistic regression": "tfidf_logreg"}
COLOURS = {"this project": BLUE, "TF-IDF + logistic regression": ORANGE}


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="Scores by the number of training films.", allow_abbrev=False
    )
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[500, 1000, 2000, 4000],
        help="films to train on; more than there are takes all",
    )  # fmt: skip
    parser.add_argument("--work-dir", type=Path, required=True)
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    parse_finetune_args(flags)  # a wrong flag is told before hours of work
    found: dict[int, list[dict[str, Any]]] = {}
    for seed in args.seeds:
        whole = args.work_dir / f"data-{seed}"
        if not (whole / "report.json").is_file():
            call("prepare_dataset.py", "--source", args.source, "--output-dir", whole,
                 "--seed", seed)  # fmt: skip
        for size in args.sizes:
            part, run = (args.work_dir / f"{kind}-{seed}-{size}" for kind in ("data", "run"))
            films = cut(whole, part, size, seed)
            call("finetune.py", "--dataset-dir", part, "--output-dir", run, "--seed", seed, *flags)
            metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
            found.setdefault(size, []).append(metrics | {"films": films})
    table = render(found, flags)
    (args.work_dir / "LEARNING_CURVE.md").write_text(table, encoding="utf-8")
    draw(found).savefig(args.work_dir / "learning_curve.png", dpi=150)
    print(table)
    return 0


def cut(whole: Path, part: Path, size: int, seed: int) -> int:
    """Copy a prepared folder with `size` training films, drawn by the seed.

    A larger part of one seed holds the smaller ones.

    Returns:
        The number of training films.
    """
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(whole, part)
    paths = {s: part / "data" / f"{s}-00000-of-00001.parquet" for s in ("train", "validation")}
    films = {split: pd.read_parquet(path) for split, path in paths.items()}
    share = min(1.0, size / len(films["train"]))
    for split, path in paths.items():
        order = np.random.default_rng(seed).permutation(len(films[split]))
        kept = np.sort(order[: round(share * len(order))])
        films[split].iloc[kept].to_parquet(path, index=False)
    return round(share * len(films["train"]))


def scores(runs: Sequence[dict[str, Any]], model: str, score: str) -> np.ndarray:
    """Of the test split, one for each seed."""
    name = MODELS[model]
    return np.array([(run["test"] if name == "chosen" else run["baselines"])[name][score]
                     for run in runs])  # fmt: skip


def render(found: dict[int, list[dict[str, Any]]], flags: Sequence[str]) -> str:
    seeds = len(next(iter(found.values())))
    lines = [
        "# Scores by the number of training films",
        "",
        f"`finetune.py {' '.join(flags)}`, test split, mean of {seeds} seed(s); "
        f"{describe(machine())}.",
        "",
        "| films to train on | model | " + " | ".join(HEADLINES) + " |",
        "|---:|---|" + "---:|" * len(HEADLINES),
    ]
    for runs in found.values():
        films = round(np.mean([run["films"] for run in runs]))
        for model in MODELS:
            cells = [f"{scores(runs, model, score).mean():.3f}" for score in HEADLINES.values()]
            lines.append(f"| {films:,} | {model} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def draw(found: dict[int, list[dict[str, Any]]]) -> plt.Figure:
    films = [np.mean([run["films"] for run in runs]) for runs in found.values()]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(HEADLINES), figsize=(3.4 * len(HEADLINES), 3.2), sharex=True
        )
        for axis, (name, score) in zip(axes, HEADLINES.items(), strict=True):
            for model in MODELS:
                by_size = [scores(runs, model, score) for runs in found.values()]
                mean = np.array([values.mean() for values in by_size])
                colour = COLOURS[model]
                axis.plot(films, mean, marker="o", color=colour, label=model)
                lowest, highest = (
                    np.array([end(values) for values in by_size]) for end in (np.min, np.max)
                )
                axis.fill_between(films, lowest, highest, color=colour, alpha=0.15)
            axis.set(title=name, xscale="log", xlabel="films to train on")
            axis.set_xticks(films, [f"{n:,.0f}" for n in films])
            axis.minorticks_off()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper center", ncols=len(names))
        figure.tight_layout(rect=(0, 0, 1, 0.93))
    return figure


if __name__ == "__main__":
    sys.exit(exit_code(main))
