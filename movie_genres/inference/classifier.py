"""Text -> logits -> genres: a published model at use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file

from movie_genres.decisions.stored import Decisions
from movie_genres.errors import InputError
from movie_genres.inference.runtimes import (
    ONNX_FILES,
    OnnxRuntime,
    Runtime,
    TorchRuntime,
    check_onnxruntime,
    compute_logits,
)
from movie_genres.model.devices import choose_precision
from movie_genres.model.folders import (
    LOADING_ERRORS,
    check_model_name,
    check_tokenizer,
    load_model,
    one_line,
    stored_max_length,
)
from movie_genres.preparation.fields import TextFields
from movie_genres.reading.columns import PLOT, TITLE, field_names


@dataclass(frozen=True)
class Prediction:
    """The genres of one film."""

    genres: dict[str, float]
    """Given genres and their probabilities, the most probable first."""
    probabilities: dict[str, float]
    """All genres, in label order."""


class GenreClassifier:
    """A model folder or Hub id, ready to give genres.

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
            name: Of the folder or on the Hub.
            threshold: Cut all genres here, in [0, 1], and not at the thresholds that the model
                carries; so a model without (usable) thresholds can be used, too.
            objective: Take the thresholds that were tuned for it, such as "f1_macro".
            never_empty: Give the most probable genre to a film that reaches no threshold; None: as
                the model's config says.
            precision: float32 (the default; what was measured and published), bf16, or auto: what
                the device is fastest in. With `onnx`: int8 (the default there) or float32.
            onnx: Compute by the file in the model's folder onnx/.

        Raises:
            InputError: If there is no such model or it has no usable thresholds; no ONNX file of
                the precision or nothing that runs it.
        """
        check_precision(precision, onnx=onnx)
        runtime: Runtime
        if onnx:
            runtime, config, tokenizer = load_onnx(name, precision or "int8")
        else:
            model, tokenizer = load_model(name)
            asked = choose_precision(precision or "float32", on_cpu=model.device.type == "cpu")
            runtime, config = TorchRuntime.tuned(model, asked), model.config
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
        """Calibrated probabilities of texts as the column `text` has them, (n_texts, n_labels).

        Args:
            batch_tokens: As `compute_logits` takes it.
            on_batch: Likewise.
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
        """What its answers depend on: two classifiers with the same identity give the same ones."""
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
        """Genres of films: their fields are cleaned and composed as in preparation.

        A film without a plot gets no genre: its title alone would be a guess.

        Args:
            films: Plots, or mappings with the plot (`plot`, `overview`, ...) and the other fields
                that the model was trained on (`self.fields.names`); lists are flattened.
            titles: Of the plots.
            on_batch: Is told the number of films of each batch that is done.

        Raises:
            InputError: If a mapping has no plot, or several.
        """
        given = titles or [None] * len(films)
        cleaned = [
            self.fields.clean(_values(film, title))
            for film, title in zip(films, given, strict=True)
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
        given = sorted(np.flatnonzero(y_pred), key=lambda label: -y_prob[label])
        return Prediction(
            {labels[label]: float(y_prob[label]) for label in given},
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


def load_onnx(
    name: str, precision: str
) -> tuple[OnnxRuntime, PretrainedConfig, PreTrainedTokenizerBase]:
    """Load a model's ONNX file, with its config and tokenizer.

    Raises:
        InputError: If there is no such folder or Hub id, it has no such file, or it cannot be read.
    """
    check_onnxruntime()
    check_model_name(name, "--model")
    file = f"onnx/{ONNX_FILES[precision]}"
    try:
        config = AutoConfig.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except LOADING_ERRORS as error:
        raise InputError(f"--model {name!r} cannot be loaded: {one_line(error)}") from None
    check_tokenizer(tokenizer, name)
    try:
        path = cached_file(name, file)
    except OSError:
        raise InputError(
            f"--model {name!r} has no {file}; make it (python evaluate_model.py --onnx ...), or "
            "leave out --onnx"
        ) from None
    try:
        return OnnxRuntime(Path(str(path)), precision), config, tokenizer
    except Exception as error:  # ONNX Runtime raises kinds of its own, none of them public
        raise InputError(f"{path} cannot be loaded: {one_line(error)}") from None


def check_precision(precision: str | None, *, onnx: bool) -> None:
    """Raises: InputError: If there is no such precision, or not by this runtime."""
    known = list(ONNX_FILES) if onnx else ["float32", "bf16", "auto"]
    if precision is not None and precision not in known:
        runtime = "with --onnx" if onnx else "without --onnx"
        raise InputError(f"--precision {precision}: {runtime} it is one of {', '.join(known)}")
