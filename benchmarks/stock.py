"""The stock recipe: a random head and today's `transformers.Trainer`, as users start from it.

`EXAMPLE` has the settings of the official text-classification example; `dynamic` those of someone
who pads by batch and tunes the learning rate. A stock Trainer does not know labels that are not
known: they count as absent here.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.special import expit
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

from benchmarks.outcomes import Point, Trained
from movie_genres.decisions.scores import mean_average_precision
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.devices import peak_memory_bytes
from movie_genres.preparation.loading import Prepared

SCORE = "average_precision_macro"


@dataclass(frozen=True)
class StockRecipe:
    """Everything else is as the Trainer has it: linear decay, no warm-up, dropout as shipped."""

    learning_rate: float
    epochs: int
    batch_size: int
    eval_batch_size: int
    pad_to_max_length: bool
    keep_best_epoch: bool
    """End with the epoch that is best on validation, and not with the last one."""
    bf16: bool = False


EXAMPLE = StockRecipe(5e-5, 3, 8, 8, pad_to_max_length=True, keep_best_epoch=False)


def dynamic(learning_rate: float, epochs: int, *, bf16: bool = False) -> StockRecipe:
    return StockRecipe(
        learning_rate, epochs, 16, 32, pad_to_max_length=False, keep_best_epoch=True, bf16=bf16
    )


def train_stock(
    recipe: StockRecipe,
    prepared: Prepared,
    *,
    encoder: str,
    max_length: int,
    seed: int,
    scratch: Path,
) -> Trained:
    """Train, with an evaluation after each epoch, and read the validation and the test films.

    Args:
        encoder: Folder or Hub id.
        max_length: Tokens after which texts are cut.
        scratch: Folder for checkpoints, removed in the end.
    """
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder,
        num_labels=len(prepared.labels),
        id2label=dict(enumerate(prepared.labels)),
        label2id={label: index for index, label in enumerate(prepared.labels)},
        problem_type="multi_label_classification",
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    )
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    began = time.perf_counter()
    films = {
        split: tokenize_stock(recipe, prepared, split, tokenizer, max_length)
        for split in ("train", "validation")
    }
    clock = Clock(began)
    trainer = Trainer(
        model=model,
        args=stock_arguments(recipe, seed, scratch),
        train_dataset=films["train"],
        eval_dataset=films["validation"],
        data_collator=default_data_collator
        if recipe.pad_to_max_length
        else DataCollatorWithPadding(tokenizer),
        compute_metrics=validation_score,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    seconds, peak = time.perf_counter() - began, peak_memory_bytes()
    shutil.rmtree(scratch, ignore_errors=True)
    tokens = sum(map(sum, films["train"]["attention_mask"])) * recipe.epochs
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    validation, test = (
        predict_logits(model, tokenizer, prepared.texts(split), max_length=max_length)
        for split in ("validation", "test")
    )
    return Trained(
        validation, test, seconds, tokens, peak, "bf16" if recipe.bf16 else "float32", clock.curve,
        facts={"learning_rate": recipe.learning_rate, "epochs": recipe.epochs},
    )  # fmt: skip


def tokenize_stock(
    recipe: StockRecipe, prepared: Prepared, split: str, tokenizer: Any, max_length: int
) -> Dataset:
    encoded = tokenizer(
        prepared.texts(split),
        truncation=True,
        max_length=max_length,
        padding="max_length" if recipe.pad_to_max_length else False,
    )
    y = np.nan_to_num(prepared.y(split), nan=0.0)  # float, or the loss takes them for classes
    return Dataset.from_dict({**encoded, "labels": y.tolist()})


def stock_arguments(recipe: StockRecipe, seed: int, scratch: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        learning_rate=recipe.learning_rate,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.eval_batch_size,
        eval_strategy="epoch",
        save_strategy="epoch" if recipe.keep_best_epoch else "no",
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=recipe.keep_best_epoch,
        metric_for_best_model=SCORE,
        greater_is_better=True,
        bf16=recipe.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="epoch",
    )


def validation_score(prediction: Any) -> dict[str, float]:
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    return {SCORE: mean_average_precision(np.asarray(prediction.label_ids), expit(logits))}


class Clock(TrainerCallback):
    """Takes the time of each evaluation.

    Args:
        began: `time.perf_counter()` when the clock of the recipe began to run.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.curve: list[Point] = []

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        seconds = time.perf_counter() - self.began
        self.curve.append((seconds, state.epoch, metrics[f"eval_{SCORE}"]))
        print(f"epoch {state.epoch:g}  {seconds:.0f} s  mAP {self.curve[-1][2]:.3f}", flush=True)
