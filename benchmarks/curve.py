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
    parser.add_argument("--output", type=Path, required=True, help="picture; replaced if it exists")
    parser.add_argument(
        "--curve", action="append", nargs="+", required=True, metavar=("LABEL", "FILMS=RUN"),
        dest="curves",
    )  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    labels = [TFIDF, *(label for label, *_ in args.curves)]
    if len(set(labels)) < len(labels):
        raise InputError(f"two curves have the same label: {', '.join(map(repr, labels))}")
    runs = {label: by_films(label, words) for label, *words in args.curves}
    first_label, first_folders = next(iter(runs.items()))
    first = next(iter(first_folders.values()))[0]
    curves: dict[str, list[Point]] = {label: [] for label in [*runs, TFIDF]}
    for label, points in runs.items():
        for films, folders in points.items():
            found = [read_run(folder, first) for folder in folders]
            curves[label].append(Point(films, [scores_of(metrics) for metrics in found]))
            if label == first_label:
                tfidf = [metrics["baselines"]["tfidf_logreg"] for metrics in found]
                curves[TFIDF].append(Point(films, [scores | {"seconds": None} for scores in tfidf]))
    figure = draw_learning_curves(curves)
    figure.savefig(args.output, dpi=150)
    plt.close(figure)
    print(table(curves))
    return 0


def by_films(label: str, runs: Sequence[str]) -> dict[int, list[Path]]:
    """Folders of runs by the number of films, fewest first; several are runs of other seeds.

    Raises:
        InputError: If there is none, or one is not FILMS=FOLDER of a finished run.
    """
    if not runs:
        raise InputError(f"--curve {label!r} has no FILMS=RUN")
    found: dict[int, list[Path]] = {}
    for run in runs:
        films, _, name = run.partition("=")
        folder = Path(name)
        whole = all((folder / file).is_file() for file in ("metrics.json", "predictions.parquet"))
        if not films.isdecimal() or int(films) == 0 or not whole:
            raise InputError(f"--curve {label!r}: {run!r} is not FILMS=FOLDER of a finished run")
        found.setdefault(int(films), []).append(folder)
    return dict(sorted(found.items()))


def read_run(folder: Path, first: Path) -> dict[str, Any]:
    """The metrics of a run.

    Raises:
        InputError: If it was judged by other films or genres than the run in `first`.
    """
    tested, expected = (
        pd.read_parquet(run / "predictions.parquet", columns=["id", "y_true"]).astype(str)
        for run in (folder, first)
    )
    if not tested.equals(expected):
        raise InputError(f"{folder} was not judged by the test films and genres of the first run")
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def scores_of(metrics: dict[str, Any]) -> dict[str, float | None]:
    scores: dict[str, float | None] = metrics["test"][metrics["chosen_policy"]]
    return scores | {"seconds": metrics["train"]["seconds"]}


def table(curves: dict[str, list[Point]]) -> str:
    """Means over the runs of a point."""
    lines = ["| | films to train on | " + " | ".join(HEADLINES) + " | seconds |"]
    lines.append("|---|---:" + "|---:" * len(HEADLINES) + "|---:|")
    decimals = dict.fromkeys(HEADLINES.values(), 3) | {"seconds": 0}
    for label, points in curves.items():
        for point in points:
            cells = [spread([run[key] for run in point.runs], n) for key, n in decimals.items()]
            lines.append(f"| {label} | {point.films:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
