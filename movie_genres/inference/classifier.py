"""Film -> text -> logits -> genres: a published model in use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from movie_genres.decisions.stored import Decisions
from movie_genres.inference.precisions import check_precision
from movie_genres.inference.runtimes import Runtime, TorchRuntime, compute_logits, load_onnx
from movie_genres.model.devices import choose_precision
from movie_genres.model.folders import load_model, stored_max_length
from movie_genres.preparation.fields import TextFields
from movie_genres.reading.columns import PLOT, TITLE, field_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    ) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self.decisions = decisions
        self.fields = fields
        self.max_length = max_length

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
            name: Folder or Hub id.
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
            InputError: If there is no such model or it has no usable thresholds; with `onnx`, if it
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
        decisions = Decisions.of_config(
            config, name, threshold=threshold, objective=objective, never_empty=never_empty
        )
        fields = TextFields.from_json(getattr(config, "text_fields", None), name)
        return cls(runtime, tokenizer, decisions, fields, stored_max_length(tokenizer, config))

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
        *,
        on_batch: Callable[[int], object] = lambda n_films: None,
    ) -> list[Prediction]:
        """Predict the genres of films, whose fields are cleaned and composed as in preparation.

        A film without a plot gets no genre: a title alone says too little.

        Args:
            films: Plots, or mappings with the plot (`plot`, `overview`, ...) and the other fields
                that the model was trained on (`self.fields.names`); lists are joined.
            titles: Titles of the plots, one each.
            on_batch: Called with the number of films of each finished batch.

        Raises:
            InputError: If a mapping has no plot, or more than one.
        """
        titles = titles or [None] * len(films)
        cleaned = [
            self.fields.clean(_values(film, title))
            for film, title in zip(films, titles, strict=True)
        ]
        texts = [self.fields.compose(values) for values in cleaned]
        if not texts:
            return []
        y_prob = self.probabilities(texts, on_batch=on_batch)
        y_pred = self.decisions.decide(y_prob)
        y_pred[[not values[PLOT] for values in cleaned]] = 0
        return [self._prediction(p, d) for p, d in zip(y_prob, y_pred, strict=True)]

    def _prediction(self, y_prob: np.ndarray, y_pred: np.ndarray) -> Prediction:
        labels = self.decisions.labels
        predicted = sorted(np.flatnonzero(y_pred), key=lambda label: -y_prob[label])
        return Prediction(
            {labels[label]: float(y_prob[label]) for label in predicted},
            dict(zip(labels, y_prob.tolist(), strict=True)),
        )


def _values(film: str | Mapping[str, Any], title: str | None) -> dict[str, Any]:
    """A film's values by the names of the fields."""
    if isinstance(film, str):
        return {TITLE: title, PLOT: film}
    if PLOT in film:
        return dict(film)
    names = field_names(list(film))
    return {names[key]: value for key, value in film.items()}
