"""setfit 1.2.0: contrastive training of a sentence encoder, then logistic regressions on it.

setfit is made for few examples: all pairs of some thousand films are millions. So the contrastive
stage has `FILMS` films and `STEPS` steps, about the time of the stock recipe, and the regressions
have all films.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.special import logit

from benchmarks.outcomes import Trained
from movie_genres.errors import InputError
from movie_genres.model.devices import peak_memory_bytes
from movie_genres.preparation.loading import Prepared

FILMS, STEPS, BATCH = 512, 500, 16


def fit_setfit(
    prepared: Prepared, *, encoder: str, max_length: int, seed: int, scratch: Path
) -> Trained:
    """Train; labels that are not known count as absent.

    Args:
        encoder: Folder or Hub id.
        max_length: Tokens after which texts are cut.
        scratch: Folder for setfit's own files.

    Raises:
        InputError: If setfit is not installed.
    """
    try:
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError:
        raise InputError("the recipe setfit needs: pip install setfit==1.2.0") from None
    model = SetFitModel.from_pretrained(encoder, multi_target_strategy="one-vs-rest")
    model.model_body.max_seq_length = max_length
    began = time.perf_counter()
    texts = prepared.texts("train")
    labels = np.nan_to_num(prepared.y("train"), nan=0.0).astype(int).tolist()
    films = Dataset.from_dict({"text": texts, "label": labels})
    few = films.shuffle(seed=seed).select(range(min(FILMS, len(films))))
    arguments = TrainingArguments(
        output_dir=str(scratch), batch_size=BATCH, max_steps=STEPS, max_length=max_length,
        seed=seed, report_to="none", save_strategy="no", show_progress_bar=False,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=few)
    trainer.train_embeddings(few["text"][:], few["label"][:], args=arguments)
    trainer.train_classifier(texts, labels, args=arguments)
    seconds, peak = time.perf_counter() - began, peak_memory_bytes()
    validation, test = (
        logit(np.clip(np.asarray(model.predict_proba(prepared.texts(split))), 1e-7, 1 - 1e-7))
        for split in ("validation", "test")
    )
    facts = {"films": len(few), "steps": STEPS, "batch_size": BATCH}
    return Trained(validation, test, seconds, None, peak, "float32", facts=facts)
