"""The pass over the films before training: the head's start, and the states that are kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from movie_genres.inference.runtimes import predict_logits, rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast, default_device, weights_are_sharded
from movie_genres.model.encoder import EncoderName, load_encoder
from movie_genres.model.head import LinearHead, captured_features, final_linear, set_head
from movie_genres.model.layers import captured_states, upper_part
from movie_genres.model.states import FilmStates, RowsFile, fits_on_disk
from movie_genres.preparation.loading import Prepared
from movie_genres.progress import Pace
from movie_genres.training.arguments import ProjectArguments
from movie_genres.training.batches import token_lengths
from movie_genres.training.checkpoints import is_intact, write_manifest
from movie_genres.training.run_folder import RunFolder


@dataclass(frozen=True)
class FirstPass:
    """What one pass over the films leaves in the folder of a run, written by all processes.

    Args:
        films: Tokenised, by split: train and validation.
        n_frozen: The layer whose input is kept; None keeps none.
        precision: Of the training; float32 states are kept as such, others in float16, which is
            finer than bf16.
    """

    run: RunFolder
    films: Mapping[str, Dataset]
    n_frozen: int | None
    width: int
    feature_width: int
    precision: str

    @property
    def features(self) -> RowsFile:
        """What enters the final Linear for each film of the training split."""
        ones = np.ones(len(self.films["train"]), dtype=np.int64)
        return RowsFile(self.run.first_pass / "features", ones, self.feature_width, "float32")

    def states(self, split: str) -> RowsFile:
        """What enters the first layer that is trained, for each token of each film."""
        dtype = "float32" if self.precision == "float32" else "float16"
        lengths = token_lengths(self.films[split])
        return RowsFile(self.run.first_pass / f"{split}_states", lengths, self.width, dtype)

    def film_states(self, split: str) -> FilmStates:
        """A split as the upper part of the model reads it."""
        labels = np.array(self.films[split]["labels"], dtype=np.float32)
        return FilmStates(self.states(split), labels)

    def make(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Run the pass, unless an earlier sitting has left it whole."""
        process = PartialState()
        complete = is_intact(self.run.first_pass)
        process.wait_for_everyone()
        if complete:
            return
        files = [self.features]
        if self.n_frozen is not None:
            files += [self.states(split) for split in self.films]
        if process.is_main_process:
            shutil.rmtree(self.run.first_pass, ignore_errors=True)
            self.run.first_pass.mkdir()
            for file in files:
                file.allocate()
        process.wait_for_everyone()
        self._share_of(process, "train", model, tokenizer)
        if self.n_frozen is not None:
            self._share_of(process, "validation", model, tokenizer)
        process.wait_for_everyone()
        if process.is_main_process:
            write_manifest(self.run.first_pass)

    @torch.inference_mode()
    def _share_of(
        self,
        process: PartialState,
        split: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        films = self.films[split].remove_columns("labels")
        lengths = token_lengths(films)
        features_file, states_file = self.features, self.states(split)
        batches = list(rows_of_batches(lengths, tokens_that_suit(model.device)))
        model.eval()
        with ExitStack() as stack:
            features = stack.enter_context(captured_features(model))
            states = None
            if self.n_frozen is not None:
                states = stack.enter_context(captured_states(model, self.n_frozen))
            stack.enter_context(autocast(self.precision, model.device))
            own, pace = batches[process.process_index :: process.num_processes], Pace()
            for done, rows in enumerate(own):
                if process.is_main_process and pace.is_due():
                    left = pace.left(done, len(own))
                    print(f"first pass over the {split} split, {left} left", flush=True)
                model(**_padded(films, rows, tokenizer).to(model.device))
                if split == "train":
                    features_file.write(rows, features[-1].cpu().numpy()[:, None])
                features.clear()
                if states is not None:
                    values = states.pop().float().cpu().numpy()
                    cut = [v[: lengths[row]] for v, row in zip(values, rows, strict=True)]
                    states_file.write(rows, cut)


def plan_first_pass(
    project: ProjectArguments,
    run: RunFolder,
    films: Mapping[str, Dataset],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    n_frozen: int,
) -> tuple[FirstPass, PreTrainedModel | None]:
    """The pass to make, and the part of the model that trains on the states it keeps.

    The part is None where the states are not kept: because the user or the device is better off
    without, they do not fit on the disk, or the architecture does not allow it.
    """
    width, feature_width = model.config.hidden_size, final_linear(model).in_features
    plan = FirstPass(run, films, n_frozen, width, feature_width, project.precision)
    keep = project.keep_states == "always" or (
        # A GPU computes them about as fast as a disk gives them.
        project.keep_states == "auto" and model.device.type == "cpu"
    )
    # Where weights are divided over processes, the part and the whole cannot share them.
    keep = keep and not weights_are_sharded()
    upper = None
    if keep and n_frozen:
        shortest = films["validation"].remove_columns("labels")
        batch = _padded(shortest, np.array([-1, -2]), tokenizer)
        upper = upper_part(model, n_frozen, batch.to(model.device))
    if upper is not None:
        n_bytes = sum(plan.states(split).n_bytes for split in films)
        if not fits_on_disk(n_bytes, run.path):
            if PartialState().is_main_process:
                print(
                    f"note: {run.path} has no room for {n_bytes / 2**30:.1f} GiB of states of the "
                    "frozen layers: they are computed anew at every step"
                )
            upper = None
    return (plan if upper is not None else replace(plan, n_frozen=None)), upper


def _padded(films: Dataset, rows: np.ndarray, tokenizer: PreTrainedTokenizerBase) -> BatchEncoding:
    return tokenizer.pad([films[int(row)] for row in rows], return_tensors="pt")


def make_probe(
    first_pass: FirstPass,
    y: np.ndarray,
    inverse_penalty: float,
    pos_weight: np.ndarray,
    seconds: float,
) -> None:
    """Fit the linear probe whose weights the head starts from, and keep it.

    Args:
        first_pass: With the features.
        y: Labels of the training split, NaN where unknown, shape (n_films, n_labels).
        inverse_penalty: `C` of the logistic regressions.
        pos_weight: Class weights, shape (n_labels,).
        seconds: That the pass took.
    """
    began = time.perf_counter()
    features = first_pass.features.read_all()
    head = fit_probe(features, y, pos_weight, inverse_penalty=inverse_penalty)
    seconds += time.perf_counter() - began
    first_pass.run.save_probe(head, seconds)
    print(f"the head starts from a probe, {seconds:.0f} s after the start", flush=True)


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


def fit_probe(
    features: np.ndarray, y: np.ndarray, pos_weight: np.ndarray, *, inverse_penalty: float
) -> LinearHead:
    """One regularised logistic regression per label on standardised features, as a head.

    Args:
        features: What enters the final Linear, shape (n_samples, hidden_size).
        y: Multi-hot labels, NaN where unknown, shape (n_samples, n_labels).
        pos_weight: Weights of the positives, shape (n_labels,): the probe minimises the loss that
            training goes on with.
        inverse_penalty: `C` of `LogisticRegression`; smaller is stronger.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = (features - mean) / scale
    weight, bias = np.zeros((y.shape[1], features.shape[1])), np.zeros(y.shape[1])
    for label in range(y.shape[1]):
        known = ~np.isnan(y[:, label])
        true = y[known, label]
        if len(np.unique(true)) < 2:
            # Nothing to separate: the log odds of a rate that one film more would give.
            bias[label] = np.log((true.sum() + 0.5) / (len(true) - true.sum() + 0.5))
            continue
        probe = LogisticRegression(
            C=inverse_penalty, class_weight={0: 1.0, 1: float(pos_weight[label])}, max_iter=300
        ).fit(standard[known], true)
        weight[label] = probe.coef_[0] / scale
        bias[label] = probe.intercept_[0] - weight[label] @ mean
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32))
