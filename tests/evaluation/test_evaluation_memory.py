"""What the evaluation of many films keeps: logits, labels as bytes, and no tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    trainer_pt_utils,
)

import finetune
from metrics import GenreMetrics
from movie_genres.inference import runtimes
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args
from movie_genres.training.batches import token_lengths, tokenize

Build = Callable[..., finetune.GenreTrainer]


@pytest.fixture
def build(partly_known: Path, tiny_encoder: Path, tmp_path: Path) -> Build:
    """A Trainer of the tiny encoder, which is given more of its config's values."""

    def trainer(batch_size: int, **config: Any) -> finetune.GenreTrainer:
        prepared = load_prepared(partly_known)
        tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
        model = AutoModelForSequenceClassification.from_pretrained(
            tiny_encoder, num_labels=3, ignore_mismatched_sizes=True, **config
        )
        model.classifier.weight.data.copy_(model.bert.pooler.dense.weight[:3])
        _, args = parse_finetune_args(
            ["--output-dir", str(tmp_path), "--per-device-eval-batch-size", str(batch_size),
             "--precision", "float32"]
        )  # fmt: skip
        return finetune.GenreTrainer(
            model=model,
            args=args,
            train_dataset=(train := tokenize(prepared.splits["train"], tokenizer, 32)),
            train_lengths=token_lengths(train),
            eval_dataset=tokenize(prepared.splits["validation"], tokenizer, 32),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=GenreMetrics(prepared.labels),
            pos_weight=np.ones(3, dtype=np.float32),
        )

    return trainer


def scores(trainer: finetune.GenreTrainer) -> dict[str, float]:
    found = trainer.evaluate()
    return {name: found[name] for name in ("eval_loss", "eval_f1_micro", "eval_f1_macro",
                                           "eval_average_precision_macro")}  # fmt: skip


def test_earlier_batches_are_not_copied_at_each_new_one(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scores(build(100))

    def copied(*_: Any, **__: Any) -> None:
        raise AssertionError("the batches so far were copied")

    monkeypatch.setattr(trainer_pt_utils, "nested_concat", copied)
    assert scores(build(3)) == pytest.approx(whole, abs=1e-5)


def test_of_an_encoder_that_gives_its_hidden_states_the_logits_are_kept(build: Build) -> None:
    trainer = build(7, output_hidden_states=True)
    found = trainer.evaluation_loop(trainer.get_eval_dataloader(), "Evaluation")
    assert found.predictions.shape == (len(trainer.eval_dataset), 3)
    assert found.predictions.dtype == np.float32
    assert scores(trainer) == pytest.approx(scores(build(7)), abs=1e-6)


def test_labels_are_kept_as_bytes_and_unknown_ones_stay_unknown(build: Build) -> None:
    trainer = build(7)
    found = trainer.evaluation_loop(trainer.get_eval_dataloader(), "Evaluation")
    assert found.label_ids.dtype == np.int8
    expected = np.array(trainer.eval_dataset["labels"])
    assert (expected == -100).any()
    assert np.array_equal(found.label_ids, expected)


def test_texts_are_tokenised_some_at_a_time(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    texts = [" ".join(["ghost", "house", "river", "train"][: 1 + n % 4]) for n in range(10)]
    whole = runtimes.predict_logits(model, tokenizer, texts, max_length=16)
    asked = []
    tokenize_texts = type(tokenizer).__call__

    def counted(self: Any, some: Any, **kwargs: Any) -> Any:
        asked.append(len(some))
        return tokenize_texts(self, some, **kwargs)

    monkeypatch.setattr(type(tokenizer), "__call__", counted)
    monkeypatch.setattr(runtimes, "TEXTS_AT_ONCE", 4)
    found = runtimes.predict_logits(model, tokenizer, texts, max_length=16)
    assert asked == [4, 4, 2]
    assert np.allclose(found, whole, atol=1e-5)
