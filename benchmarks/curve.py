"""Learning curves of finished runs: scores and seconds by the number of films to train on.

    python -m benchmarks.curve --output learning_curve.png \\
        --curve "MiniLM, one CPU core" 1000=runs/minilm-1000 4000=runs/minilm-4000 \\
        --curve "all-mpnet-base-v2, H100" 1000=runs/mpnet-1000 4000=runs/mpnet-4000

Several runs of one number of films are averaged. All must have been judged by the same test films
and genres; the tuned TF-IDF of the first curve's runs is drawn beside them. Prints a table, too.
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

from benchmarks.compare_report import HEADLINES, Point, draw_learning_curves, spread
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
    of_tfidf: list[Point] = []
    tested: list[pd.DataFrame] = []
    for label, *runs in args.curves:
        if not runs:
            raise InputError(f"--curve {label!r} has no FILMS=RUN")
        for films, folders in by_films(label, runs).items():
            found = [read_run(folder, tested) for folder in folders]
            scores = [metrics["test"][metrics["chosen_policy"]] for metrics in found]
            seconds = [metrics["train"]["seconds"] for metrics in found]
            curves.setdefault(label, []).append(Point(films, scores, seconds))
            if label == args.curves[0][0]:
                tfidf = [metrics["baselines"]["tfidf_logreg"] for metrics in found]
                of_tfidf.append(Point(films, tfidf, [None] * len(found)))
    curves[TFIDF] = of_tfidf
    figure = draw_learning_curves(curves)
    figure.savefig(args.output, dpi=150)
    plt.close(figure)
    print(table(curves))
    return 0


def by_films(label: str, runs: Sequence[str]) -> dict[int, list[Path]]:
    """Folders of runs by the number of films, fewest first; several are runs of other seeds.

    Raises:
        InputError: If one is not FILMS=FOLDER of a finished run.
    """
    found: dict[int, list[Path]] = {}
    for run in runs:
        films, _, name = run.partition("=")
        folder = Path(name)
        whole = all((folder / file).is_file() for file in ("metrics.json", "predictions.parquet"))
        if not films.isdecimal() or int(films) == 0 or not whole:
            raise InputError(f"--curve {label!r}: {run!r} is not FILMS=FOLDER of a finished run")
        found.setdefault(int(films), []).append(folder)
    return dict(sorted(found.items()))


def read_run(folder: Path, tested: list[pd.DataFrame]) -> dict[str, Any]:
    """The metrics of a run.

    Args:
        folder: Of the run.
        tested: The test films and labels of the runs before it, to which it adds its own.

    Raises:
        InputError: If it was judged by other films or genres.
    """
    tested.append(pd.read_parquet(folder / "predictions.parquet", columns=["id", "y_true"]))
    if any(
        list(map(str, tested[0][column])) != list(map(str, tested[-1][column]))
        for column in tested[0]
    ):
        raise InputError(f"{folder} was not judged by the test films and genres of the first run")
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def table(curves: dict[str, list[Point]]) -> str:
    """Means over the runs of a point."""
    lines = ["| | films to train on | " + " | ".join(HEADLINES) + " | seconds |"]
    lines.append("|---|---:" + "|---:" * len(HEADLINES) + "|---:|")
    for label, points in curves.items():
        for point in points:
            scores = [spread([s[key] for s in point.scores], 3) for key in HEADLINES.values()]
            cells = [label, f"{point.films:,}", *scores, spread(point.seconds, 0)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
