"""Recipes without a training of the encoder: TF-IDF, frozen sentence embeddings."""

from __future__ import annotations

import time

import numpy as np
import torch
from scipy.special import expit
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.outcomes import Trained
from movie_genres.decisions.scores import mean_average_precision
from movie_genres.evaluation.baselines import tfidf_logits
from movie_genres.inference.runtimes import length_sorted_batches
from movie_genres.model.devices import default_device, peak_memory_bytes
from movie_genres.model.head import LinearHead
from movie_genres.preparation.loading import Prepared
from movie_genres.training.probe import fit_probe

INVERSE_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""`C` on standardised embeddings; validation chooses."""


def fit_tfidf(prepared: Prepared) -> Trained:
    """TF-IDF of whole texts and one logistic regression per genre."""
    began = time.perf_counter()
    validation, test = tfidf_logits(
        prepared.texts("train"),
        prepared.y("train"),
        prepared.texts("validation"),
        prepared.texts("test"),
    )
    seconds = time.perf_counter() - began
    return Trained(validation, test, seconds, None, peak_memory_bytes(), "float64")


def fit_embeddings(prepared: Prepared, *, encoder: str, max_length: int) -> Trained:
    """Mean-pooled, normalised embeddings, and one logistic regression per genre.

    The seconds hold the embedding of the training and the validation films and the fits for every
    penalty.

    Args:
        encoder: Folder or Hub id.
        max_length: Tokens after which texts are cut.
    """
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).to(default_device())
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    began = time.perf_counter()
    features, n_tokens = embed(model, tokenizer, prepared.texts("train"), max_length)
    on_validation, _ = embed(model, tokenizer, prepared.texts("validation"), max_length)
    y, y_validation = prepared.y("train"), prepared.y("validation")
    ones = np.ones(y.shape[1])
    heads = {c: fit_probe(features, y, ones, inverse_penalty=c) for c in INVERSE_PENALTIES}
    scores = {
        c: mean_average_precision(y_validation, expit(apply_head(head, on_validation)))
        for c, head in heads.items()
    }
    best = max(scores, key=lambda c: scores[c])
    seconds, peak = time.perf_counter() - began, peak_memory_bytes()
    on_test, _ = embed(model, tokenizer, prepared.texts("test"), max_length)
    validation, test = (apply_head(heads[best], found) for found in (on_validation, on_test))
    return Trained(
        validation, test, seconds, n_tokens, peak, "float32", facts={"inverse_penalty": best}
    )


def apply_head(head: LinearHead, features: np.ndarray) -> np.ndarray:
    """Logits, shape (n_rows, n_labels)."""
    return features @ head.weight.T + head.bias


@torch.inference_mode()
def embed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int
) -> tuple[np.ndarray, int]:
    """What sentence-transformers gives for these encoders, and the number of tokens read.

    Returns:
        Means of the last layer over the tokens, of length 1, shape (n_texts, hidden_size).
    """
    model.eval()
    outputs = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    n_tokens = 0
    for rows, padded in length_sorted_batches(tokenizer, texts, max_length, 32 * max_length):
        batch = padded.convert_to_tensors("pt").to(model.device)
        mask = batch["attention_mask"][:, :, None].float()
        states = model(**batch).last_hidden_state.float()
        means = (states * mask).sum(1) / mask.sum(1)
        outputs[rows] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        n_tokens += int(mask.sum())
    return outputs, n_tokens
