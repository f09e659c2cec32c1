"""One recipe on one split, in a process of its own; `benchmarks.compare` runs these.

    python -m benchmarks.recipes --recipe stock --data data/prepared --output stock.json --seed 10

Writes the scores on the test split and the costs as JSON, and beside it an .npz with `y_true`,
`y_pred` and `y_prob` of the test films, shape (n_films, n_labels) each. Flags that this script does
not know go to finetune.py. In training, unknown labels count as absent but for `ours` and `tfidf`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from movie_genres.command_line import exit_code
from movie_genres.decisions.scores import (
    compute_scores,
    expected_calibration_error,
    mean_average_precision,
)
from movie_genres.decisions.thresholds import decide
from movie_genres.decisions.tuning import tune
from movie_genres.errors import InputError
from movie_genres.evaluation.baselines import tuned_tfidf_logits
from movie_genres.files import write_json
from movie_genres.model.devices import default_device, peak_memory_bytes
from movie_genres.model.encoder import DEFAULT_ENCODER, find_encoder
from movie_genres.preparation.loading import Prepared, load_prepared

ROOT = Path(__file__).parent.parent
RECIPES = {
    "ours": "this project",
    "tfidf": "TF-IDF + logistic regression",
    "embeddings": "sentence embeddings + logistic regression",
    "stock": "stock Trainer, settings of the transformers example",
    "tuned": "stock Trainer, tuned learning rate and epochs",
}
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""`C` of the regressions on embeddings; validation chooses."""
SCORE = "average_precision_macro"


@dataclass(frozen=True)
class Trained:
    """What a recipe gives to be scored."""

    validation: np.ndarray
    """Uncalibrated logits of the validation films, shape (n_films, n_labels)."""
    test: np.ndarray
    """Likewise of the test films."""
    seconds: float
    """From the texts to the trained model, with tokenising and evaluations."""
    peak_memory: int | None
    """Of the process until the model was trained, in bytes."""


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="One recipe on one split.", allow_abbrev=False)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="prepared folder")
    parser.add_argument("--output", type=Path, required=True, help="JSON file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-length", type=int, default=128, help="tokens; TF-IDF reads all")
    parser.add_argument("--model-name-or-path", default=DEFAULT_ENCODER)
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    prepared = load_prepared(args.data)
    if args.recipe == "ours":
        result, arrays = run_finetune(args, flags)
    else:
        encoder = find_encoder(args.model_name_or_path).path
        scratch = args.output.with_suffix(".scratch")
        trained = {
            "tfidf": lambda: fit_tfidf(prepared),
            "embeddings": lambda: fit_embeddings(prepared, encoder, args.max_length),
            "stock": lambda: train_stock(EXAMPLE, prepared, encoder, args, scratch),
            "tuned": lambda: train_stock(TUNED, prepared, encoder, args, scratch),
        }[args.recipe]()
        shutil.rmtree(scratch, ignore_errors=True)
        result, arrays = judge(prepared, trained, args.seed)
    result |= {"films": len(prepared.splits["train"]), "machine": machine()}
    np.savez(args.output.with_suffix(".npz"), allow_pickle=False, **arrays)
    write_json(args.output, result)  # last: where it stands, the job is done
    scores = result["scores"]
    print(f"{args.recipe}: mAP {scores[SCORE]:.3f}  F1 micro {scores['f1_micro']:.3f}  F1 macro "
          f"{scores['f1_macro']:.3f}  {result['seconds']:.0f} s", flush=True)  # fmt: skip
    return 0


def judge(
    prepared: Prepared, trained: Trained, seed: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Calibrate and tune on validation (micro-F1), score on test: the result and its arrays."""
    tuned = tune(prepared.y("validation"), trained.validation, other_objectives=(), seed=seed)
    y_prob = tuned.calibration.map.probabilities(trained.test)
    arrays = {
        "y_true": prepared.y("test"),
        "y_pred": decide(y_prob, tuned.thresholds.chosen),
        "y_prob": y_prob,
    }
    costs = {"seconds": trained.seconds, "peak_memory_bytes": trained.peak_memory}
    return score(**arrays) | costs | {"precision": "float32", "plots_alone": None}, arrays


def score(y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray) -> dict[str, Any]:
    return {
        "scores": compute_scores(y_true, y_pred, y_prob),
        "scores_at_half": compute_scores(y_true, decide(y_prob, 0.5), y_prob),
        "ece": expected_calibration_error(y_true, y_prob),
    }


def run_finetune(
    args: argparse.Namespace, flags: Sequence[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run finetune.py as a user does, and read the files of its run.

    Raises:
        InputError: If it fails; it has said why.
    """
    run = args.output.with_suffix("")
    command = [
        sys.executable, ROOT / "finetune.py", "--dataset-dir", args.data, "--output-dir", run,
        "--seed", args.seed, "--max-length", args.max_length,
        "--model-name-or-path", args.model_name_or_path, *flags,
    ]  # fmt: skip
    code = subprocess.run([str(word) for word in command], check=False).returncode
    if code:
        raise InputError(f"finetune.py ended with exit code {code}")
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    films = pd.read_parquet(run / "predictions.parquet")
    arrays = {
        name: np.array(films[column].tolist())
        for name, column in (("y_true",) * 2, ("y_pred",) * 2, ("y_prob", "probabilities"))
    }
    costs = {name: metrics["train"][name] for name in ("seconds", "peak_memory_bytes", "precision")}
    return score(**arrays) | costs | {"plots_alone": metrics["plots_alone"]}, arrays


def fit_tfidf(prepared: Prepared) -> Trained:
    """As in the report; the seconds hold the choice of its settings on validation."""
    began = time.perf_counter()
    validation, test, _ = tuned_tfidf_logits(
        (prepared.texts("train"), prepared.y("train")),
        (prepared.texts("validation"), prepared.y("validation")),
        prepared.texts("test"),
    )
    return Trained(validation, test, time.perf_counter() - began, peak_memory_bytes())


def fit_embeddings(prepared: Prepared, encoder: str, max_length: int) -> Trained:
    """Mean-pooled, normalised embeddings, and one logistic regression per genre.

    The seconds hold the embedding of training and validation films and the fits for every penalty.
    """
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).to(default_device())
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    began = time.perf_counter()
    train, validation = (
        embed(model, tokenizer, prepared.texts(split), max_length)
        for split in ("train", "validation")
    )
    y_train, y_validation = np.nan_to_num(prepared.y("train")), prepared.y("validation")
    heads = [
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=c, max_iter=300)))
        for c in PENALTIES
    ]
    logits = [head.fit(train, y_train).decision_function(validation) for head in heads]
    quality = [mean_average_precision(y_validation, expit(of_one)) for of_one in logits]
    best = int(np.argmax(quality))
    seconds, peak = time.perf_counter() - began, peak_memory_bytes()
    test = embed(model, tokenizer, prepared.texts("test"), max_length)
    return Trained(logits[best], heads[best].decision_function(test), seconds, peak)


@torch.inference_mode()
def embed(model: Any, tokenizer: Any, texts: Sequence[str], max_length: int) -> np.ndarray:
    """Means of the last layer over the tokens, of length 1, shape (n_texts, hidden_size)."""
    outputs = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    order = np.argsort([len(text) for text in texts])  # little padding
    for rows in np.array_split(order, -(-len(texts) // 32)):
        batch = tokenizer(
            [texts[row] for row in rows], truncation=True, max_length=max_length, padding=True,
            return_tensors="pt",
        ).to(model.device)  # fmt: skip
        mask = batch["attention_mask"][:, :, None].float()
        means = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        outputs[rows] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
    return outputs


@dataclass(frozen=True)
class StockRecipe:
    """The rest is the Trainer's default: random head, linear decay, no warm-up, float32."""

    learning_rate: float
    epochs: int
    batch_size: int
    pad_to_max_length: bool
    keep_best_epoch: bool
    """End with the epoch that is best on validation, and not with the last one."""


EXAMPLE = StockRecipe(5e-5, 3, 8, pad_to_max_length=True, keep_best_epoch=False)
TUNED = StockRecipe(1e-4, 8, 16, pad_to_max_length=False, keep_best_epoch=True)
"""The best of four trainings on the Kaggle set (docs/results.md)."""


def train_stock(
    recipe: StockRecipe, prepared: Prepared, encoder: str, args: argparse.Namespace, scratch: Path
) -> Trained:
    """A random head and the stock Trainer, with an evaluation after each epoch."""
    transformers.set_seed(args.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len(prepared.labels), problem_type="multi_label_classification",
        ignore_mismatched_sizes=True, dtype=torch.float32,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    began = time.perf_counter()
    padding = "max_length" if recipe.pad_to_max_length else False

    def tokenise(split: str) -> Dataset:
        encoded = tokenizer(
            prepared.texts(split), truncation=True, max_length=args.max_length, padding=padding
        )
        return Dataset.from_dict({**encoded, "labels": np.nan_to_num(prepared.y(split)).tolist()})

    trainer = Trainer(
        model=model, args=stock_arguments(recipe, args.seed, scratch),
        train_dataset=tokenise("train"), eval_dataset=tokenise("validation"),
        data_collator=default_data_collator
        if recipe.pad_to_max_length else DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {SCORE: mean_average_precision(
            np.asarray(found.label_ids), expit(np.asarray(found.predictions, dtype=np.float64)))},
    )  # fmt: skip
    trainer.train()
    seconds, peak = time.perf_counter() - began, peak_memory_bytes()
    validation, test = (
        np.asarray(trainer.predict(tokenise(split)).predictions) for split in ("validation", "test")
    )
    return Trained(validation, test, seconds, peak)


def stock_arguments(recipe: StockRecipe, seed: int, scratch: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch), seed=seed, report_to="none", disable_tqdm=True,
        learning_rate=recipe.learning_rate, num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size, use_cpu=not torch.cuda.is_available(),
        eval_strategy="epoch", save_strategy="epoch" if recipe.keep_best_epoch else "no",
        logging_strategy="epoch", save_total_limit=1, save_only_model=True,
        load_best_model_at_end=recipe.keep_best_epoch, metric_for_best_model=SCORE,
    )  # fmt: skip


def machine() -> str:
    """Processor, cores that may be used, GPU and versions, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bf16 = "with" if torch.cpu._is_avx512_bf16_supported() else "without"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    packages = ("torch", "transformers", "scikit-learn", "numpy")
    return (
        f"{names[0] if names else platform.machine()}, {cores} core(s) {bf16} AVX512-BF16, {gpu}; "
        + ", ".join(f"{name} {version(name)}" for name in packages)
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
