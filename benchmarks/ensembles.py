"""Several models together, beside the one that is published: what an ensemble would add.

    python -m benchmarks.ensembles --work-dir runs/compare --seeds 10 11 12 13 14

Of a comparison (`benchmarks.compare`) whose recipes tfidf, embeddings and ours are complete: one
training of this project, the average of the weights of all (which is what the project gives), the
average of their logits, and the mean of the calibrated logits of this project and of the linear
models. All go through the same calibration and threshold tuner; nothing is trained here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from benchmarks.compare_report import HEADLINES, paired, spread
from benchmarks.comparison import Comparison
from benchmarks.outcomes import Trained, judge_recipe
from movie_genres.command_line import exit_code
from movie_genres.decisions.calibration import choose_calibration
from movie_genres.decisions.stored import undo_calibration
from movie_genres.errors import InputError
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.folders import load_model
from movie_genres.model.layers import freeze_lower, upper_part
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.training.averaging import give_weights
from movie_genres.training.run_folder import RunFolder

OURS = "averaged weights: this project, one model"

Logits = tuple[np.ndarray, np.ndarray]
"""Of the validation and the test films, shape (n_films, n_labels) each."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What an ensemble would add.")
    parser.add_argument("--work-dir", type=Path, required=True, help="of benchmarks.compare")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    transformers.logging.disable_progress_bar()
    comparison = Comparison(args.work_dir)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        prepared = load_prepared(comparison.data(seed))
        for name, scores in scores_of_seed(comparison, prepared, seed).items():
            found.setdefault(name, []).append(scores)
        print(f"seed {seed} is done", flush=True)
    print(render(found))
    return 0


def scores_of_seed(
    comparison: Comparison, prepared: Prepared, seed: int
) -> dict[str, dict[str, float]]:
    """Test scores by what was put together; those of one training are means over all."""
    ours, words, meaning = (
        stored_logits(comparison, seed, recipe) for recipe in ("ours", "tfidf", "embeddings")
    )
    members = member_logits(comparison, prepared, seed)
    y = prepared.y("validation")
    calibrated = [calibrate(y, logits, seed) for logits in (ours, words, meaning)]
    together = {
        OURS: ours,
        f"averaged logits of the {len(members)} trainings": mean(members),
        "this project and TF-IDF": mean(calibrated[:2]),
        "this project and embeddings": mean([calibrated[0], calibrated[2]]),
        "this project, TF-IDF and embeddings": mean(calibrated),
    }
    singles = [judge(prepared, logits, seed) for logits in members]
    single = {name: float(np.mean([of_one[name] for of_one in singles])) for name in singles[0]}
    judged = {name: judge(prepared, logits, seed) for name, logits in together.items()}
    return {"one training": single} | judged


def stored_logits(comparison: Comparison, seed: int, recipe: str) -> Logits:
    """Raises: InputError: If the comparison has not come so far."""
    path = comparison.outcome(seed, recipe).logits
    if not path.is_file():
        raise InputError(f"{path} is missing: run benchmarks.compare with --recipes {recipe}")
    with np.load(path, allow_pickle=False) as stored:
        return stored["validation"], stored["test"]


def member_logits(comparison: Comparison, prepared: Prepared, seed: int) -> list[Logits]:
    """Of each training of this project's run."""
    run = RunFolder(comparison.run(seed))
    project = json.loads((run.path / "args.json").read_text(encoding="utf-8"))["project"]
    model, tokenizer = load_model(str(run.model))
    undo_calibration(model, prepared.labels)
    frozen = freeze_lower(model, project["frozen_share"])
    batch = tokenizer(
        prepared.texts("test")[:2], truncation=True, padding=True, return_tensors="pt"
    )
    part = upper_part(model, frozen, batch)  # on the same weights; None if states were not kept
    found = []
    for number in range(1, project["soup"] + 1):
        give_weights(part or model, run.member(number).load()[0])
        validation, test = (
            predict_logits(
                model, tokenizer, prepared.texts(split), max_length=project["max_length"]
            )
            for split in ("validation", "test")
        )
        found.append((validation, test))
    return found


def calibrate(y: np.ndarray, logits: Logits, seed: int) -> Logits:
    fitted = choose_calibration(y, logits[0], np.ones(y.shape[1]), seed=seed).map
    return fitted.logits(logits[0]), fitted.logits(logits[1])


def mean(together: Sequence[Logits]) -> Logits:
    validation, test = (np.mean(split, axis=0) for split in zip(*together, strict=True))
    return validation, test


def judge(prepared: Prepared, logits: Logits, seed: int) -> dict[str, float]:
    """As every recipe of the comparison is judged."""
    validation, test = logits
    trained = Trained(validation, test, 0.0, None, None, "float32")
    outcome, _ = judge_recipe(prepared, trained, seed)
    return dict(outcome["test"]["tuned"])


def render(found: dict[str, list[dict[str, float]]]) -> str:
    """Mean and standard deviation over seeds, and the paired difference to this project."""
    lines = [
        "| | "
        + " | ".join(HEADLINES)
        + " | "
        + " | ".join(f"difference: {s}" for s in HEADLINES)
        + " |",
        "|---|" + "---:|" * (2 * len(HEADLINES)),
    ]
    for name, by_seed in found.items():
        cells, differences = [], []
        for score in HEADLINES.values():
            values, ours = (
                np.array([scores[score] for scores in some]) for some in (by_seed, found[OURS])
            )
            cells.append(spread(values.tolist(), 3))
            differences.append("" if name == OURS else str(paired(values, ours)))
        lines.append(f"| {name} | {' | '.join([*cells, *differences])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
