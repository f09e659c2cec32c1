"""Scores at each evaluation (`compute_metrics`), for `evaluate`, and of two models compared.

import evaluate
metric = evaluate.load("/absolute/path/to/metrics.py")
metric.compute(predictions=probabilities, references=labels, thresholds=0.5)

python metrics.py compare runs/a/predictions.parquet runs/b/predictions.parquet
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy.special import expit


@contextmanager
def importable_project() -> Iterator[None]:
    """Find the package beside this file, also where `evaluate` runs a copy of the file.

    Raises:
        ImportError: If the file that the copy was made of is there no longer.
    """
    added = []
    if find_spec("movie_genres") is None:
        note = Path(__file__).with_suffix(".json")  # evaluate writes where the copy is from
        origin = Path(json.loads(note.read_text(encoding="utf-8"))["original file path"])
        added = [str(origin.resolve().parent)]
        if not (origin.resolve().parent / "movie_genres").is_dir():
            raise ImportError(
                f"{origin} has moved since evaluate copied it; delete {Path(__file__).parent}"
            )
    sys.path += added
    yield


# Indented, because evaluate takes imports at the left margin for packages to be installed.
with importable_project():
    from movie_genres.command_line import dashes, exit_code
    from movie_genres.decisions.intervals import LEVEL, Difference
    from movie_genres.decisions.scores import compute_scores, confusion_counts
    from movie_genres.decisions.thresholds import (
        decide,
        search_global_threshold,
        search_label_thresholds,
    )
    from movie_genres.errors import InputError
    from movie_genres.evaluation.predictions import Predictions, compare
    from movie_genres.training.losses import restore_unknown

LOGGED = (
    "average_precision_macro",
    "best_threshold",
    "f1_micro",
    "f1_macro",
    "f1_samples",
    "precision_micro",
    "recall_micro",
    "subset_accuracy",
    "f1_micro_at_0.5",
    "f1_macro_per_genre",
)
"""Names of the scores that `GenreMetrics` returns."""


@dataclass
class GenreMetrics:
    """`compute_metrics` of the Trainer: logits in, scalars with constant names out.

    The thresholds are fitted on the films that they are scored on, so that these scores are a
    little optimistic: they serve to follow a training. Those in the report are not.
    """

    labels: list[str]
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    """2x2 counts per genre at the best global threshold of the last evaluation."""
    constant: bool = False
    """Whether the last evaluation gave every film the same probabilities (to 1e-4)."""

    def __call__(self, prediction: Any) -> dict[str, float]:
        """Sweep the thresholds over one evaluation.

        Args:
            prediction: `EvalPrediction` with logits and multi-hot labels (`losses.UNKNOWN` where
                unknown), both of shape (n_samples, n_labels), or lists of such batches.
        """
        labels, logits = (
            np.concatenate(part) if isinstance(part, list) else np.asarray(part)
            for part in (prediction.label_ids, prediction.predictions)
        )
        y_true = restore_unknown(labels.astype(np.float32))
        y_prob = expit(logits.astype(np.float64))
        self.constant = bool(np.ptp(y_prob, axis=0).max() < 1e-4)
        threshold = search_global_threshold(y_true, y_prob)
        y_pred = decide(y_prob, threshold)
        scores = compute_scores(y_true, y_pred, y_prob)
        per_genre = np.nan_to_num(search_label_thresholds(y_true, y_prob), nan=threshold)
        counts = confusion_counts(y_true, y_pred)
        self.confusion = {
            name: {cell: int(counts[cell][label]) for cell in counts}
            for label, name in enumerate(self.labels)
        }
        at_half = compute_scores(y_true, decide(y_prob, 0.5), y_prob)
        at_own = compute_scores(y_true, decide(y_prob, per_genre), y_prob)
        logged = scores | {
            "best_threshold": threshold,
            "f1_micro_at_0.5": at_half["f1_micro"],
            "f1_macro_per_genre": at_own["f1_macro"],
        }
        return {name: logged[name] for name in LOGGED}


class MultiLabelScores(evaluate.Metric):
    """Every score of this project for probabilities, labels and thresholds."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Multi-label scores of probabilities and of the decisions at thresholds.",
            citation="",
            inputs_description=(
                "predictions: probabilities in [0, 1], one list per row; references: multi-hot "
                "labels (NaN where unknown), same shape; thresholds: one number, or one per label "
                "(default 0.5)."
            ),
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("float64")),
                }
            ),
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[list[float]],
        thresholds: float | list[float] = 0.5,
    ) -> dict[str, float]:
        y_true, y_prob = np.asarray(references), np.asarray(predictions)
        limits = np.asarray(thresholds, dtype=float)
        check_scored(y_true, y_prob, limits)
        return compute_scores(y_true, decide(y_prob, limits), y_prob)


def check_scored(y_true: np.ndarray, y_prob: np.ndarray, thresholds: np.ndarray) -> None:
    """Raises: InputError: If these are no labels, probabilities and thresholds of one shape."""
    if y_true.ndim != 2 or y_true.shape != y_prob.shape:
        raise InputError(
            f"predictions of shape {y_prob.shape} and references of shape {y_true.shape}: both "
            "must be one list of numbers per row, as long as there are labels"
        )
    wrong = y_prob[~((y_prob >= 0) & (y_prob <= 1))]
    if len(wrong):
        raise InputError(
            f"predictions hold {wrong[0]:g}, which is no probability in [0, 1]; of logits, give "
            "1 / (1 + exp(-logit))"
        )
    wrong = y_true[~(np.isin(y_true, (0, 1)) | np.isnan(y_true))]
    if len(wrong):
        raise InputError(f"references hold {wrong[0]:g}, not 0, 1 or NaN (unknown)")
    if thresholds.shape not in ((), y_true.shape[1:]):
        raise InputError(
            f"thresholds of shape {thresholds.shape}: one number, or one for each of the "
            f"{y_true.shape[1]} labels"
        )
    # A tuned threshold that nothing reaches may be the number after 1.
    wrong = np.atleast_1d(thresholds)
    wrong = wrong[~((wrong >= 0) & (wrong <= 1 + 1e-6))]
    if len(wrong):
        raise InputError(f"thresholds hold {wrong[0]:g}, which is not in [0, 1]")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the predictions of two models.")
    commands = parser.add_subparsers(dest="command", required=True)
    comparison = commands.add_parser(
        "compare",
        help="differences of the scores of two models on the same films, with intervals",
    )
    for name in ("a", "b"):
        comparison.add_argument(name, type=Path, help="predictions.parquet of a run")
    return parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    a, b = (Predictions.read(path) for path in (args.a, args.b))
    differences = compare(a, b)
    print(f"a  {args.a}\nb  {args.b}\n{len(a.ids):,} films, {len(a.labels)} genres\n")
    print(difference_table(differences))
    return 0


def difference_table(differences: Mapping[str, Difference]) -> str:
    """The differences as text in columns, with a note on the last two."""
    lines = [f"{'':<26}{'a':>8}{'b':>8}{'a - b':>9}   {LEVEL:.0%} interval     a higher"]
    for name, found in differences.items():
        (low, high), share = found.interval, f"{found.a_better:.0%}"
        lines.append(
            f"{name:<26}{found.a:>8.3f}{found.b:>8.3f}{found.difference:>+9.3f}"
            f"   {low:+.3f} to {high:+.3f}   {'equal' if low == high == 0 else share}"
        )
    note = (
        "Paired jackknife over films. a higher: confidence that a scores higher on new films (50% "
        "where they\nare level). The interval covers the choice of the films, not that of the "
        "training seed."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    sys.exit(exit_code(main))
