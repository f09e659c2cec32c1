"""The linear probe that the head is initialised from: fitted on the encoder before training.

It is the baseline "frozen encoder + logistic regression" as well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import PreTrainedModel, set_seed

from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.batching import rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast, default_device
from movie_genres.model.encoder import EncoderName, load_encoder
from movie_genres.model.head import LinearHead, captured_features, set_head
from movie_genres.model.probe import fit_probe
from movie_genres.preparation.loading import Prepared
from movie_genres.progress import Pace
from movie_genres.training.batches import TrainingInputs, forward
from movie_genres.training.checkpoints import is_intact
from movie_genres.training.run_folder import RunFolder


@torch.inference_mode()
def head_features(model: PreTrainedModel, inputs: TrainingInputs, precision: str) -> np.ndarray:
    """What enters the final Linear for each film of the training split, by all processes together.

    Args:
        model: A sequence classifier that reads the batches of `inputs`; is set to evaluation.
        inputs: With the training split.
        precision: float32, bf16 or fp16 (autocast).

    Returns:
        float32, shape (n_films, n_features).
    """
    process = PartialState()
    batches = list(rows_of_batches(inputs.lengths["train"], tokens_that_suit(model.device)))
    own, pace = batches[process.process_index :: process.num_processes], Pace()
    model.eval()
    with captured_features(model) as captured, autocast(precision, model.device):
        for done, rows in enumerate(own):
            if process.is_main_process and pace.is_due():
                print(f"encoding films for the linear probe, {pace.left(done, len(own))} left")
            forward(model, inputs, "train", rows)
    computed = [features.cpu().numpy() for features in captured]
    gathered = gather_object(list(zip(own, computed, strict=True)))
    # Into one array, not by way of others of its size: films may be many.
    features = np.empty((len(inputs.lengths["train"]), gathered[0][1].shape[1]), dtype=np.float32)
    for rows, values in gathered:
        features[rows] = values
    return features


def initialise_head(
    model: PreTrainedModel,
    inputs: TrainingInputs,
    run: RunFolder,
    y: np.ndarray,
    *,
    pos_weight: np.ndarray,
    inverse_penalty: float | None,
    precision: str,
    began: float,
) -> float:
    """Give the final Linear the weights of a linear probe, which is kept in the run's folder.

    Args:
        model: A sequence classifier that reads the batches of `inputs`.
        inputs: With the training split.
        run: Where the probe is kept; one that is kept already is not fitted again.
        y: Labels of the training split, NaN where unknown, shape (n_films, n_labels).
        pos_weight: As `fit_probe` takes it.
        inverse_penalty: Likewise.
        precision: Of the training.
        began: When the run began, by `time.perf_counter`.

    Returns:
        Seconds from the beginning of the run until the probe was fitted.
    """
    process, intact = PartialState(), is_intact(run.probe)
    process.wait_for_everyone()
    if not intact:
        features = head_features(model, inputs, precision)
        # A share of the genres each: one process alone would keep the others waiting for longer
        # than they wait (--ddp_timeout).
        own = np.arange(y.shape[1])[process.process_index :: process.num_processes]
        share = fit_probe(features, y[:, own], pos_weight[own], inverse_penalty=inverse_penalty)
        shares = gather_object([(own, share)])
        if process.is_main_process:
            probe = join_heads(shares)
            seconds = time.perf_counter() - began
            run.save_probe(probe, seconds)
            print(f"the head is initialised from a linear probe after {seconds:.0f} s", flush=True)
        process.wait_for_everyone()
    head, seconds = run.load_probe()
    set_head(model, head)
    return seconds


def join_heads(shares: Sequence[tuple[np.ndarray, LinearHead]]) -> LinearHead:
    """One head of several, each with the columns of the labels that it is for."""
    order = np.argsort(np.concatenate([labels for labels, _ in shares]))
    return LinearHead(
        np.concatenate([head.weight for _, head in shares])[order],
        np.concatenate([head.bias for _, head in shares])[order],
    )


def probe_logits(
    head: LinearHead, encoder: EncoderName, prepared: Prepared, *, max_length: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the untrained encoder with the probe as its head: validation, test.

    Args:
        head: The probe.
        encoder: That it was fitted on.
        prepared: With the texts.
        max_length: Texts are truncated to so many tokens.
        seed: Of the run. Layers that the encoder lacks start at random; the seed makes them those
            that were probed.
    """
    set_seed(seed)
    loaded = load_encoder(encoder, prepared.labels, max_length)
    set_head(loaded.model, head)
    model = loaded.model
    model.to(default_device())  # type: ignore[arg-type]  # the stub of `to` lacks the device
    validation, test = (
        predict_logits(model, loaded.tokenizer, prepared.texts(split), max_length=max_length)
        for split in ("validation", "test")
    )
    return validation, test
