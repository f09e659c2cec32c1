"""Film -> text -> logits -> genres: a published model in use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from movie_genres.decisions.stored import Decisions, label_names
from movie_genres.errors import InputError
from movie_genres.inference.explanation import Explanation, explain
from movie_genres.inference.precisions import check_precision
from movie_genres.inference.runtimes import Runtime, TorchRuntime, compute_logits, load_onnx
from movie_genres.model.devices import choose_precision
from movie_genres.model.folders import load_model, model_folder, stored_max_length
from movie_genres.reading.columns import PLOT, TITLE, field_names
from movie_genres.texts.fields import TextFields
from movie_genres.texts.text import is_no_plot

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from movie_genres.posters.fused import FusedPosters


@dataclass(frozen=True)
class Prediction:
    """The genres of one film."""

    genres: dict[str, float]
    """The predicted genres and their probabilities, the most probable first."""
    probabilities: dict[str, float]
    """All genres, in label order."""


class GenreClassifier:
    """A model loaded from a folder or the Hub that predicts the genres of films.

    >>> classifier = GenreClassifier.from_pretrained("runs/demo/model")
    >>> classifier(["Two detectives hunt a killer."])[0].genres
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: PreTrainedTokenizerBase,
        decisions: Decisions,
        fields: TextFields,
        max_length: int,
        load_posters: Callable[[], FusedPosters] | None = None,
    ) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.decisions = decisions
        self.fields = fields
        self.max_length = max_length
        self._load_posters = load_posters

    @cached_property
    def posters(self) -> FusedPosters:
        """What reads posters; loaded when it is first needed.

        Raises:
            InputError: If the model was trained without posters.
        """
        if self._load_posters is None:
            raise InputError("this classifier does not read posters")
        return self._load_posters()

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        threshold: float | None = None,
        objective: str | None = None,
        never_empty: bool | None = None,
        precision: str | None = None,
        onnx: bool = False,
    ) -> GenreClassifier:
        """Load a folder or a Hub id.

        Args:
            name: Model folder, folder of a run, or Hub id.
            threshold: One threshold in [0, 1] for all genres, instead of those in the model's
                config, which may then have none.
            objective: Use the thresholds that were tuned for it, such as "f1_macro".
            never_empty: Give the most probable genre to a film that reaches no threshold; None: as
                the model's config says.
            precision: float32 (default; the published scores were measured in it), bf16, or auto:
                bf16 (on older GPUs fp16) if the device computes in it, else float32. With `onnx`:
                int8 (default) or float32.
            onnx: Use the ONNX file in the model's folder onnx/, on the CPU.

        Raises:
            InputError: If there is no such model, it is no multi-label one, or it has no usable
                thresholds; with `onnx`, if it
                has no file of this precision or ONNX Runtime is not installed.
        """
        check_precision(precision, onnx=onnx)
        runtime: Runtime
        if onnx:
            runtime, config, tokenizer = load_onnx(name, precision or "int8")
        else:
            model, tokenizer = load_model(name)
            on_cpu = model.device.type == "cpu"
            precision = choose_precision(precision or "float32", on_cpu=on_cpu)
            runtime, config = TorchRuntime.tuned(model, precision), model.config
        check_multi_label(config, name)
        decisions = Decisions.of_config(
            config, name, threshold=threshold, objective=objective, never_empty=never_empty
        )
        fields = TextFields.from_json(getattr(config, "text_fields", None), name)

        def load_posters() -> FusedPosters:
            from movie_genres.posters.fused import FusedPosters  # and with it Pillow

            return FusedPosters.load(
                model_folder(name), config,
                threshold=threshold, objective=objective, never_empty=never_empty,
            )  # fmt: skip

        max_length = stored_max_length(tokenizer, config)
        return cls(runtime, tokenizer, decisions, fields, max_length, load_posters)

    def probabilities(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int | None = None,
        on_batch: Callable[[int], object] = lambda n_texts: None,
    ) -> np.ndarray:
        """Calibrated probabilities in [0, 1], float64, shape (n_texts, n_labels).

        Args:
            texts: Cleaned and composed, as in the column `text` of the prepared data.
            batch_tokens: See `compute_logits`.
            on_batch: See `compute_logits`.
        """
        logits = compute_logits(
            self.runtime,
            self.tokenizer,
            texts,
            max_length=self.max_length,
            batch_tokens=batch_tokens,
            on_batch=on_batch,
        )
        return expit(logits.astype(np.float64))

    def identity(self) -> dict[str, str]:
        """All that its predictions depend on: classifiers of one identity predict the same."""
        tokenizer = self.tokenizer.backend_tokenizer.to_str() + str(self.max_length)
        return {
            "--model": self.runtime.weights_sha256(),
            "--onnx, --precision": self.runtime.name,
            "tokenizer": hashlib.sha256(tokenizer.encode("utf-8", "surrogatepass")).hexdigest(),
            "text fields": json.dumps(self.fields.to_json()),
            "thresholds": json.dumps(
                dict(zip(self.decisions.labels, self.decisions.thresholds.tolist(), strict=True))
            ),
            "--never-empty": str(self.decisions.never_empty),
        }

    def __call__(
        self,
        films: Sequence[str | Mapping[str, Any]],
        titles: Sequence[str | None] | None = None,
        images: Sequence[bytes | str | Path | None] | None = None,
        *,
        on_batch: Callable[[int], object] = lambda n_films: None,
    ) -> list[Prediction]:
        """Predict the genres of films, whose fields are cleaned and composed as in preparation.

        A film without a plot, or with a placeholder instead of one ("No overview found."), gets no
        genre: a title alone says too little.

        Args:
            films: Plots, or mappings with the plot (`plot`, `overview`, ...) and the other fields
                that the model was trained on (`self.fields.names`); lists are joined.
            titles: Titles of the plots, one each.
            images: Posters, one each, as paths or content of files; None for a film without one,
                which the text decides. The model must have been trained with posters.
            on_batch: Called with the number of films of each finished batch.

        Raises:
            InputError: If a mapping has no plot, or more than one; if a picture cannot be read.
        """
        titles = titles or [None] * len(films)
        cleaned = [self.clean(film, title) for film, title in zip(films, titles, strict=True)]
        return self.predict_clean(cleaned, images, on_batch=on_batch)

    def explain(self, plot: str | Mapping[str, Any], title: str | None = None) -> Explanation:
        """Predict the genres of one film, and find the sentences that speak for each.

        It costs as much as the prediction of as many films as the plot has sentences, plus one.

        >>> classifier.explain("A widow hides a spy. The police come.").reasons("Thriller")

        Args:
            plot: A plot, or a mapping of fields, as in a call.
            title: Of a plot.
        """
        return explain(self, plot, title)

    def clean(self, film: str | Mapping[str, Any], title: str | None = None) -> dict[str, str]:
        """The clean fields of a film, as `predict_clean` takes them."""
        return self.fields.clean(_values(film, title))

    def predict_clean(
        self,
        films: Sequence[Mapping[str, str]],
        images: Sequence[bytes | str | Path | None] | None = None,
        *,
        on_batch: Callable[[int], object] = lambda n_films: None,
    ) -> list[Prediction]:
        """Predict the genres of films whose fields `clean` gave."""
        if not films:
            return []
        y_prob = self.probabilities(list(map(self.fields.compose, films)), on_batch=on_batch)
        y_pred = self.decisions.decide(y_prob)
        if images is not None:
            rows, y_fused = self.posters.read(logit(y_prob), images)
            y_prob[rows], y_pred[rows] = y_fused, self.posters.decisions.decide(y_fused)
        y_pred[[is_no_plot(film[PLOT]) for film in films]] = 0
        return [self._prediction(p, d) for p, d in zip(y_prob, y_pred, strict=True)]

    def _prediction(self, y_prob: np.ndarray, y_pred: np.ndarray) -> Prediction:
        labels = self.decisions.labels
        predicted = sorted(np.flatnonzero(y_pred), key=lambda label: -y_prob[label])
        return Prediction(
            {labels[label]: float(y_prob[label]) for label in predicted},
            dict(zip(labels, y_prob.tolist(), strict=True)),
        )


def check_multi_label(config: PretrainedConfig, name: str) -> None:
    """Refuse a model whose outputs are no independent probabilities, one for each genre.

    Raises:
        InputError: If its config says that it is a single-label one (softmax) or a regression, or
            says nothing and it was not made by this project. A new head on an encoder passes.
    """
    kind = getattr(config, "problem_type", None)
    ours = isinstance(getattr(config, "thresholds", None), dict)
    untrained = label_names(config) == ["LABEL_0", "LABEL_1"]  # what transformers gives a new head
    if kind == "multi_label_classification" or (kind is None and (ours or untrained)):
        return
    labels = f"problem_type {kind!r}, {config.num_labels} label{'s' * (config.num_labels != 1)}"
    raise InputError(
        f"{name} is no multi-label model ({labels} in its config.json): its outputs are no "
        "probabilities of genres that a film may have together; train one with finetune.py"
    )


def _values(film: str | Mapping[str, Any], title: str | None) -> dict[str, Any]:
    """A film's values by the names of the fields."""
    if isinstance(film, str):
        return {TITLE: title, PLOT: film}
    if PLOT in film:
        return dict(film)
    names = field_names(list(film))
    return {names[key]: value for key, value in film.items()}
