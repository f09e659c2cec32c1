"""What class weights do to scores and thresholds, before and after calibration.

    python -m benchmarks.class_weights --source movies.csv --work-dir runs/weights --max-length 128

Trains once without weights, with their square roots and with full ones, for more epochs than are
good, and looks at two checkpoints of each: the one with the least cross-entropy on validation (well
fitted) and the last (over-fitted). A weight w on a genre's positives should move its best logit
threshold by log w. Flags that this script does not know go to finetune.py. Complete runs are not
repeated. Writes `<work-dir>/CLASS_WEIGHTS.md` and `class_weights.png`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, logit
from scipy.stats import spearmanr
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.commands import call
from movie_genres.decisions.calibration import choose_calibration, cross_entropy, fit_map
from movie_genres.decisions.scores import compute_scores, expected_calibration_error
from movie_genres.decisions.thresholds import (
    decide,
    search_global_threshold,
    search_label_thresholds,
)
from movie_genres.inference.runtimes import predict_logits
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.training.losses import positive_weights

WEIGHTS = ("none", "sqrt", "balanced")
EPOCHS = 5
FEWEST_POSITIVES = 30
"""A genre's best threshold on fewer validation films is mostly noise; it is left out."""


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="Class weights, thresholds and calibration.")
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_known_args(argv)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of one training, its thresholds fitted on validation."""

    weights: str
    fit: str
    epoch: int
    pos_weight: np.ndarray
    validation_loss: float
    """Cross-entropy, the shift of the weights undone."""
    raw_threshold: float
    threshold: float
    """The best for all genres together, before and after calibration."""
    shift: np.ndarray
    """How far each genre's own best logit threshold lies above the one after calibration."""
    raw_f1: float
    f1: float
    """F1 micro on test at these thresholds."""
    raw_ece: float
    ece: float
    average_precision: float


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    data = args.work_dir / f"data-{args.seed}"
    if not (data / "report.json").is_file():
        call("prepare_dataset.py", "--source", args.source, "--output-dir", data,
             "--seed", args.seed)  # fmt: skip
    prepared = load_prepared(data)
    frequent = prepared.y("validation").sum(axis=0) >= FEWEST_POSITIVES
    found = []
    for weights in WEIGHTS:
        run = args.work_dir / f"weights-{weights}"
        call("finetune.py", "--dataset-dir", data, "--output-dir", run, "--class-weights", weights,
             "--seed", args.seed, "--num-train-epochs", EPOCHS, "--early-stopping-patience", 0,
             "--save-total-limit", EPOCHS,
             # One whole model per checkpoint, of the labels alone.
             "--keep-states", "never", "--soup", "1", "--soft-labels", "0", *flags)  # fmt: skip
        found += examine_run(run, weights, prepared)
    report = render(found, prepared, frequent, [*flags, "--seed", str(args.seed)])
    (args.work_dir / "CLASS_WEIGHTS.md").write_text(report, encoding="utf-8")
    plot(found, frequent).savefig(args.work_dir / "class_weights.png")
    print(report)
    return 0


def examine_run(run: Path, weights: str, prepared: Prepared) -> list[Checkpoint]:
    """The well-fitted and the last checkpoint of a training."""
    pos_weight = positive_weights(prepared.y("train"), weights)
    folders = sorted(
        (run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])
    )
    logits = [checkpoint_logits(folder, prepared) for folder in folders]
    y_true = prepared.y("validation")
    losses = [cross_entropy(y_true, both[0] - np.log(pos_weight)) for both in logits]
    best = int(np.argmin(losses))
    return [
        examine(weights, fit, epoch + 1, pos_weight, losses[epoch], *logits[epoch], prepared)
        for fit, epoch in (("well", best), ("over", len(folders) - 1))
    ]


def checkpoint_logits(folder: Path, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Uncalibrated logits of the validation and the test split."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    validation, test = (
        predict_logits(
            model, tokenizer, prepared.texts(split), max_length=tokenizer.model_max_length
        )
        for split in ("validation", "test")
    )
    return validation, test


def examine(
    weights: str,
    fit: str,
    epoch: int,
    pos_weight: np.ndarray,
    loss: float,
    validation: np.ndarray,
    test: np.ndarray,
    prepared: Prepared,
) -> Checkpoint:
    y_validation, y_test = prepared.y("validation"), prepared.y("test")
    method = choose_calibration(y_validation, validation, pos_weight).method
    fitted = fit_map(method, y_validation, validation, pos_weight)
    raw, calibrated = expit(validation.astype(np.float64)), fitted.probabilities(validation)
    raw_test, test_prob = expit(test.astype(np.float64)), fitted.probabilities(test)
    raw_threshold, threshold = (
        search_global_threshold(y_validation, y_prob) for y_prob in (raw, calibrated)
    )
    raw_own, own = (search_label_thresholds(y_validation, y_prob) for y_prob in (raw, calibrated))
    before, after = (
        compute_scores(y_test, decide(y_prob, cut), y_prob)
        for y_prob, cut in ((raw_test, raw_threshold), (test_prob, threshold))
    )
    return Checkpoint(
        weights, fit, epoch, pos_weight, loss, raw_threshold, threshold,
        logit(raw_own) - logit(own), before["f1_micro"], after["f1_micro"],
        expected_calibration_error(y_test, raw_test),
        expected_calibration_error(y_test, test_prob),
        after["average_precision_macro"],
    )  # fmt: skip


def render(
    found: Sequence[Checkpoint], prepared: Prepared, frequent: np.ndarray, flags: Sequence[str]
) -> str:
    lines = [
        "# Class weights, thresholds and calibration",
        "",
        f"`finetune.py --num-train-epochs {EPOCHS} {' '.join(flags)}`, "
        f"{len(prepared.splits['validation']):,} validation and {len(prepared.splits['test']):,} "
        "test films. Thresholds are fitted on validation, F1 and calibration error (ECE) are of "
        "the test split.",
        "",
        "| class weights | fit | epoch | validation loss | best threshold, raw | calibrated | "
        "F1 micro, raw | calibrated | ECE, raw | calibrated | mAP |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for c in found:
        lines.append(
            f"| {c.weights} | {c.fit} | {c.epoch} | {c.validation_loss:.3f} | "
            f"{c.raw_threshold:.2f} | {c.threshold:.2f} | {c.raw_f1:.3f} | {c.f1:.3f} | "
            f"{c.raw_ece:.3f} | {c.ece:.3f} | {c.average_precision:.3f} |"
        )
    lines += [
        "",
        "How far a genre's best threshold lies, in logits, above the one after calibration, beside "
        f"log w; genres with at least {FEWEST_POSITIVES} validation films.",
        "",
        "| genre | log w, sqrt | " + " | ".join(f"{c.weights}, {c.fit}" for c in found) + " |",
        "|---|---:" + "|---:" * len(found) + "|",
    ]
    roots = next(c.pos_weight for c in found if c.weights == "sqrt")
    for label in np.flatnonzero(frequent):
        shifts = " | ".join(f"{c.shift[label]:+.2f}" for c in found)
        lines.append(f"| {prepared.labels[label]} | {np.log(roots[label]):.2f} | {shifts} |")
    lines += ["", *(agreement(c, frequent) for c in found), ""]
    return "\n".join(lines)


def agreement(checkpoint: Checkpoint, frequent: np.ndarray) -> str:
    expected, seen = np.log(checkpoint.pos_weight[frequent]), checkpoint.shift[frequent]
    rank = spearmanr(expected, seen).statistic if np.ptp(expected) else float("nan")
    return (
        f"- {checkpoint.weights}, {checkpoint.fit}: log w {expected.mean():.2f} on average, "
        f"shift {seen.mean():.2f}, mean absolute difference {np.abs(seen - expected).mean():.2f}"
        + (f", rank correlation {rank:.2f}" if np.isfinite(rank) else "")
    )


def plot(found: Sequence[Checkpoint], frequent: np.ndarray) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, dpi=120,
                                layout="constrained")  # fmt: skip
    for axis, fit in zip(axes, ("well", "over"), strict=True):
        for c, colour in zip(
            (c for c in found if c.fit == fit), ("#718096", "#2b6cb0", "#dd6b20"), strict=True
        ):
            axis.plot(np.log(c.pos_weight[frequent]), c.shift[frequent], "o", color=colour,
                      label=f"weights {c.weights}")  # fmt: skip
        axis.axline((0, 0), slope=1, color="#718096", linewidth=0.8, linestyle="--")
        axis.set_title(f"{fit}-fitted checkpoint")
        axis.set_xlabel("predicted shift, log w")
        axis.grid(True, color="#e2e8f0")
    axes[0].set_ylabel("shift of the best threshold, logits")
    axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(main())
