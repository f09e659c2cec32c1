"""One recipe on one split, in a process of its own; benchmarks/compare.py starts these.

    python -m benchmarks.one_recipe --work-dir runs/compare --seed 10 --recipe stock

A process of its own, so that the memory of one recipe is not that of another.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import transformers
from datasets import disable_progress_bars

from benchmarks.comparison import EPOCHS, LONGER_EPOCHS, LONGER_JOB, RATE_JOBS, Comparison
from benchmarks.linear import fit_embeddings, fit_tfidf
from benchmarks.ours import train_ours
from benchmarks.outcomes import Trained
from benchmarks.setfit_recipe import fit_setfit
from benchmarks.stock import EXAMPLE, StockRecipe, dynamic, train_stock
from movie_genres.command_line import exit_code
from movie_genres.model import devices
from movie_genres.model.encoder import find_encoder
from movie_genres.preparation.loading import Prepared, load_prepared


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One recipe of a comparison on one split.")
    parser.add_argument("--work-dir", type=Path, required=True, help="of benchmarks/compare.py")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--recipe", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    devices.use_all_cores(1)
    comparison = Comparison(args.work_dir)
    file = comparison.outcome(args.seed, args.recipe)
    same = comparison.same_training(args.seed, args.recipe)
    if same is not None:
        outcome = file.take_over(same)
    else:
        prepared = load_prepared(comparison.data(args.seed))
        outcome = file.write(prepared, train(comparison, prepared, args.seed, args.recipe))
    scores = outcome["test"]["tuned"]
    print(
        f"{args.recipe}: mAP {scores['average_precision_macro']:.3f}  F1 micro "
        f"{scores['f1_micro']:.3f}  F1 macro {scores['f1_macro']:.3f}  {outcome['seconds']:.0f} s",
        flush=True,
    )
    return 0


def train(comparison: Comparison, prepared: Prepared, seed: int, recipe: str) -> Trained:
    """Raises: KeyError: If there is no such recipe."""
    settings = comparison.settings()
    if recipe == "tfidf":
        return fit_tfidf(prepared)
    if recipe == "ours":
        return train_ours(
            prepared,
            data=comparison.data(seed),
            encoder=settings.model_name_or_path,
            max_length=settings.max_length,
            seed=seed,
            flags=settings.flags,
            folder=comparison.run(seed),
        )
    encoder = find_encoder(settings.model_name_or_path).path
    if recipe == "embeddings":
        return fit_embeddings(prepared, encoder=encoder, max_length=settings.max_length)
    how: Callable[..., Trained] = fit_setfit
    if recipe != "setfit":
        how = partial(train_stock, stock_recipe(comparison, recipe))
    return how(
        prepared,
        encoder=encoder,
        max_length=settings.max_length,
        seed=seed,
        scratch=comparison.path / f"scratch-{seed}-{recipe}",
    )


def stock_recipe(comparison: Comparison, recipe: str) -> StockRecipe:
    if recipe == LONGER_JOB:
        rate, _ = comparison.best_of_tuning(RATE_JOBS)
        return dynamic(rate, LONGER_EPOCHS)
    if recipe in RATE_JOBS:
        return dynamic(RATE_JOBS[recipe], EPOCHS)
    if recipe == "stock":
        return EXAMPLE
    bf16 = {"tuned": False, "tuned-bf16": True}[recipe]
    return dynamic(*comparison.best_of_tuning(), bf16=bf16)


if __name__ == "__main__":
    sys.exit(exit_code(main))
