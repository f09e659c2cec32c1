"""The head's start: logistic regressions on what the encoder gives before any training."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import set_seed

from movie_genres.classifier import default_device, predict_logits
from movie_genres.encoder import EncoderName, load_encoder
from movie_genres.head import captured_features, fit_probe, set_head
from movie_genres.loading import Prepared, token_lengths
from movie_genres.losses import restore_unknown
from movie_genres.run import RunFolder


def by_length(tokenized: Dataset) -> Dataset:
    """Rows from long to short: less padding where the order does not matter."""
    return tokenized.select(np.argsort(-token_lengths(tokenized), kind="stable"))


def start_head(
    trainer: Any,
    run: RunFolder,
    inverse_penalty: float,
    pos_weight: np.ndarray,
) -> None:
    """Give the model the head of a linear probe, the same one on every process.

    Args:
        trainer: A `GenreTrainer` that has not trained yet.
        run: Where the probe is kept; one that is there already is used again.
        inverse_penalty: `C` of the logistic regressions.
        pos_weight: Class weights, shape (n_labels,).
    """
    if not run.probe.is_file():
        began = time.perf_counter()
        features, y = probe_features(trainer)
        if trainer.is_world_process_zero():
            head = fit_probe(features, y, pos_weight, inverse_penalty=inverse_penalty)
            run.save_probe(head, time.perf_counter() - began)
            print(f"the head starts from a probe ({time.perf_counter() - began:.0f} s)", flush=True)
        trainer.accelerator.wait_for_everyone()
    head, seconds = run.load_probe()
    set_head(trainer.model, head)
    trainer.continue_clock(seconds)


@torch.inference_mode()
def probe_features(trainer: Any) -> tuple[np.ndarray, np.ndarray]:
    """What enters the final Linear for each training row, and its labels (NaN where unknown).

    The pass is shared between the processes and gathered by all.
    """
    model = trainer.model.eval()
    features, labels = [], []
    with captured_features(model) as seen:
        for batch in trainer.get_eval_dataloader(by_length(trainer.train_dataset)):
            y = batch.pop("labels")
            with trainer.compute_loss_context_manager():
                model(**batch)
            gathered = trainer.accelerator.gather_for_metrics((seen.pop(), y))
            features.append(gathered[0].cpu().numpy())
            labels.append(gathered[1].cpu().numpy())
    return np.concatenate(features), restore_unknown(np.concatenate(labels))


def probe_logits(
    run: RunFolder, encoder: EncoderName, prepared: Prepared, max_length: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the encoder as it was, with the probe as its head: validation, test."""
    # Layers that the encoder lacks start at random; the seed makes them those that were probed.
    set_seed(seed)
    loaded = load_encoder(encoder, prepared.labels, max_length)
    set_head(loaded.model, run.load_probe()[0])
    model = loaded.model
    model.to(default_device())  # type: ignore[arg-type]  # the stub of `to` lacks the device
    validation, test = (
        predict_logits(model, loaded.tokenizer, prepared.texts(split), max_length=max_length)
        for split in ("validation", "test")
    )
    return validation, test
