"""Learning curves of finished runs: scores and seconds by the number of films to train on.

    python -m benchmarks.curve --output learning_curve.png \\
        --curve "MiniLM, one CPU core" 1000=runs/minilm-1000 4000=runs/minilm-4000 \\
        --curve "all-mpnet-base-v2, H100" 1000=runs/mpnet-1000 4000=runs/mpnet-4000

All runs must have been judged by the same test films; the tuned TF-IDF that the first curve's runs
hold is drawn beside them. Prints the figures as a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.compare_report import HEADLINES, Point, draw_learning_curves
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError

TFIDF = "TF-IDF, tuned"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learning curves of finished runs.")
    parser.add_argument("--output", type=Path, required=True, help="picture")
    parser.add_argument(
        "--curve", action="append", nargs="+", required=True, metavar=("LABEL", "FILMS=RUN"),
        dest="curves",
    )  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    curves: dict[str, list[Point]] = {}
    tested: list[list[str]] = []
    for label, *runs in args.curves:
        for run in runs:
            films, _, folder = run.partition("=")
            if not films.isdecimal() or not (Path(folder) / "metrics.json").is_file():
                raise InputError(
                    f"--curve {label!r}: {run!r} is not FILMS=FOLDER of a finished run"
                )
            tested.append(pd.read_parquet(Path(folder) / "predictions.parquet")["id"].tolist())
            if tested[-1] != tested[0]:
                raise InputError(f"{folder} was not judged by the test films of the first run")
            metrics = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
            curves.setdefault(label, []).append(point(int(films), metrics))
            if label == args.curves[0][0]:
                tfidf = metrics["baselines"]["tfidf_logreg"]
                curves.setdefault(TFIDF, []).append(Point(int(films), [tfidf], [None]))
    figure = draw_learning_curves(curves)
    figure.savefig(args.output, dpi=150)
    plt.close(figure)
    print(table(curves))
    return 0


def point(films: int, metrics: dict[str, Any]) -> Point:
    return Point(films, [metrics["test"][metrics["chosen_policy"]]], [metrics["train"]["seconds"]])


def table(curves: dict[str, list[Point]]) -> str:
    lines = ["| | films to train on | " + " | ".join(HEADLINES) + " | seconds |"]
    lines.append("|---|---:" + "|---:" * len(HEADLINES) + "|---:|")
    for label, points in curves.items():
        for one in points:
            scores = " | ".join(f"{one.scores[0][key]:.3f}" for key in HEADLINES.values())
            seconds = one.seconds[0]
            cost = "" if seconds is None else f"{seconds:,.0f}"
            lines.append(f"| {label} | {one.films:,} | {scores} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
