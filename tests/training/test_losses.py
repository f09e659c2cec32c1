"""Class weights, and the loss of the Trainer under accumulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import DataCollatorWithPadding

from finetune import GenreTrainer
from metrics import GenreMetrics
from movie_genres.model.encoder import EncoderName, load_encoder
from movie_genres.model.head import final_linear
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import FinetuneArguments
from movie_genres.training.batches import token_lengths, tokenize
from movie_genres.training.losses import (
    MAX_POS_WEIGHT,
    positive_weights,
    restore_unknown,
    weighted_bce_sum,
)


def test_weights_by_hand() -> None:
    y = np.zeros((100, 4), dtype=int)
    y[:50, 0] = y[:20, 1] = y[:1, 2] = 1
    assert positive_weights(y, "none").tolist() == [1, 1, 1, 1]
    assert positive_weights(y, "balanced").tolist() == [1, 4, MAX_POS_WEIGHT, 1]
    assert positive_weights(y, "sqrt") == pytest.approx([1, 2, np.sqrt(99), 1])
    with pytest.raises(ValueError, match="unknown class weights 'cube'"):
        positive_weights(y, "cube")


def test_the_loss_is_the_weighted_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
    weight = torch.tensor([3.0, 2.0])
    expected = 3 * np.log(1 + np.exp(-0.5)) + np.log(1 + np.exp(-1.0))
    assert weighted_bce_sum(logits, labels, weight).item() == pytest.approx(expected, rel=1e-6)


def one_step(
    batch: int, accumulation: int, encoder: Path, folder: Path, output_dir: Path
) -> dict[str, Any]:
    """What one step without learning over eight films logs."""
    prepared = load_prepared(folder)
    loaded = load_encoder(EncoderName(str(encoder), None, None), prepared.labels, 32)
    model, tokenizer = loaded.model, loaded.tokenizer
    generator = torch.Generator().manual_seed(0)
    final_linear(model).weight.data.normal_(0, 0.1, generator=generator)
    films = tokenize(prepared.splits["train"].select(range(8)), tokenizer, 32)
    pos_weight = positive_weights(prepared.y("train"), "balanced") + 0.5
    args = FinetuneArguments(
        output_dir=str(output_dir),
        learning_rate=0.0,
        weight_decay=0.0,
        max_steps=1,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=3,
        gradient_accumulation_steps=accumulation,
        logging_steps=1,
        save_strategy="no",
        load_best_model_at_end=False,
        disable_tqdm=True,
    )
    trainer = GenreTrainer(
        model=model,
        args=args,
        train_dataset=films,
        eval_dataset=films,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=GenreMetrics(prepared.labels),
        processing_class=tokenizer,
        pos_weight=pos_weight,
        train_lengths=token_lengths(films),
    )
    trainer.train()
    predicted = trainer.predict(films)
    return trainer.state.log_history[0] | {
        "eval_loss": predicted.metrics["test_loss"],
        "logits": predicted.predictions,
        "labels": predicted.label_ids,
        "pos_weight": pos_weight,
    }


def expected_loss(whole: dict[str, Any]) -> float:
    """The weighted cross-entropy over the known cells, by torch alone."""
    labels = torch.tensor(restore_unknown(whole["labels"]), dtype=torch.float32)
    known = ~labels.isnan()
    weight = torch.tensor(whole["pos_weight"]).expand(labels.shape)
    logits = torch.tensor(whole["logits"])
    return binary_cross_entropy_with_logits(
        logits[known], labels[known], pos_weight=weight[known]
    ).item()


def test_the_step_is_the_same_however_it_is_divided_and_unknown_labels_are_no_cells(
    tiny_encoder: Path, prepared_folder: Path, partly_known: Path, tmp_path: Path
) -> None:
    for folder in (prepared_folder, partly_known):
        whole, divided = (
            one_step(batch, accumulation, tiny_encoder, folder, tmp_path)
            for batch, accumulation in ((8, 1), (2, 4))
        )
        # The films' labels are unknown unevenly, so that means of parts are not the mean.
        assert whole["loss"] == pytest.approx(expected_loss(whole), abs=2e-4)
        assert whole["eval_loss"] == pytest.approx(expected_loss(whole), rel=1e-5)
        for name in ("loss", "grad_norm"):
            assert divided[name] == pytest.approx(whole[name], rel=1e-3), name
