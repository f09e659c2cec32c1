"""A model -> ONNX files for other runtimes, with what each costs measured on the test split.

They lie beside the model as transformers.js expects it: onnx/model.onnx (float32, `dtype: "fp32"`)
and onnx/model_quantized.onnx (int8, `dtype: "q8"`). A file holds all of its weights.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.stored import Decisions
from movie_genres.errors import InputError
from movie_genres.evaluation.card import insert_onnx
from movie_genres.evaluation.predictions import Predictions
from movie_genres.files import replace_folder, write_json
from movie_genres.inference.runtimes import (
    ONNX_FILES,
    ONNX_REQUIREMENTS,
    OnnxRuntime,
    compute_logits,
)
from movie_genres.model.folders import stored_max_length

TOLERANCE = 1e-4
"""Of the probabilities of the float32 file: other kernels round otherwise, and no more."""


def check_installed() -> None:
    """Notice missing packages before the work, not after it.

    Raises:
        InputError: If one that only ONNX needs is not installed.
    """
    needed = ("onnx", "onnxscript", "onnxruntime")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--onnx needs {', '.join(missing)}: python -m pip install -r {ONNX_REQUIREMENTS}"
        )


def add_onnx(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    predictions: Predictions,
    *,
    model_folder: Path,
    report_folder: Path,
    model_id: str,
) -> dict[str, dict[str, Any]]:
    """Write model_folder/onnx/, and what it costs into report_folder's card and metrics.json.

    Args:
        model: As published, with its decisions in its config; it is moved to the CPU.
        predictions: Of this model on the test split, by PyTorch.
        model_folder: Of the published model: config.json and the tokenizer are there.
        report_folder: Has README.md and metrics.json; it may be the same folder.
        model_id: What the card's snippet loads.

    Returns:
        By precision: file, bytes, largest_difference (of a probability), changed_decisions,
        test (the scores).

    Raises:
        InputError: If the model cannot be exported, or the float32 file gives other probabilities;
            then neither onnx/ nor a figure is left.
    """
    new = model_folder / "onnx.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        export_float32(model, tokenizer, new / ONNX_FILES["float32"])
        quantize(new / ONNX_FILES["float32"], new / ONNX_FILES["int8"])
        found = {
            precision: _measure(new / name, precision, model, tokenizer, predictions)
            for precision, name in ONNX_FILES.items()
        }
        difference = found["float32"]["largest_difference"]
        if not difference <= TOLERANCE:  # NaN is a difference
            raise InputError(
                f"the ONNX export of this {model.config.model_type} model gives probabilities that "
                f"differ by up to {difference:.2g}; leave out --onnx"
            )
        replace_folder(new, model_folder / "onnx")
    finally:
        shutil.rmtree(new, ignore_errors=True)
    card, metrics = report_folder / "README.md", report_folder / "metrics.json"
    content = card.read_text(encoding="utf-8")
    card.write_text(insert_onnx(content, found, model_id), encoding="utf-8")
    write_json(metrics, json.loads(metrics.read_text(encoding="utf-8")) | {"onnx": found})
    return found


class _Logits(torch.nn.Module):
    """A classifier as a function of tensors by position.

    transformers.js cuts a long text's closing token ([SEP]) off with the rest, which moves its
    scores. So the closing token is set here, which changes nothing where it is there already.
    """

    def __init__(self, model: PreTrainedModel, names: Sequence[str], closing: int | None) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.closing = closing

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        inputs = dict(zip(self.names, tensors, strict=True))
        if self.closing is not None:
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            last = torch.where(mask[:, -1:] == 1, self.closing, ids[:, -1:])
            inputs["input_ids"] = torch.cat([ids[:, :-1], last], dim=1)
        return self.model(**inputs).logits


def closing_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Id of the special token that ends every text; None if none does, or padding comes first."""
    last = tokenizer("one")["input_ids"][-1]
    ends = last in tokenizer.all_special_ids and tokenizer.padding_side == "right"
    return last if ends else None


def export_float32(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write a model as ONNX: the tokenizer's outputs in, logits out, any batch and length.

    Raises:
        InputError: If torch cannot export this kind of model.
    """
    # Two rows of unlike lengths: a size of one would be taken for a constant.
    example = tokenizer(["one", "two or three"], padding=True, return_tensors="pt")
    names = [name for name in tokenizer.model_input_names if name in example]
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    try:
        with _quiet():
            torch.onnx.export(
                _Logits(model.cpu(), names, closing_token(tokenizer)).eval(),
                tuple(example[name] for name in names),
                path,
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=(tuple(sizes for _ in names),),
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"torch cannot export this {model.config.model_type} model to ONNX; leave out --onnx "
            f"({reason})"
        ) from None


def quantize(source: Path, target: Path) -> None:
    """Write an int8 file: weights of the matrix products and embeddings in 8 bits.

    Unsigned weights with a scale per channel: signed ones overflow in the 16-bit sums of CPUs
    without VNNI. The final Linear, which holds the calibration, stays float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings about themselves from the user."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _measure(
    path: Path,
    precision: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    predictions: Predictions,
) -> dict[str, Any]:
    max_length = stored_max_length(tokenizer, model.config)
    runtime = OnnxRuntime(path, precision)
    logits = compute_logits(runtime, tokenizer, predictions.texts, max_length=max_length)
    y_prob = expit(logits.astype(np.float64))
    y_pred = Decisions.of_config(model.config, "the model").decide(y_prob)
    return {
        "file": f"onnx/{path.name}",
        "bytes": path.stat().st_size,
        "largest_difference": float(np.abs(y_prob - predictions.y_prob).max()),
        "changed_decisions": int((y_pred != predictions.y_pred).sum()),
        "test": compute_scores(predictions.y_true, y_pred, y_prob),
    }
