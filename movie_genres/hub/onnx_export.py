"""A model -> ONNX files for other runtimes, with the scores of each on the test split.

Their names are those that transformers.js expects: onnx/model.onnx (float32, `dtype: "fp32"`) and
onnx/model_quantized.onnx (int8, `dtype: "q8"`). Each file holds all of its weights.
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
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.stored import Decisions
from movie_genres.errors import InputError, one_line
from movie_genres.evaluation.card import render_card
from movie_genres.evaluation.predictions import Predictions
from movie_genres.files import file_sha256, replace_folder, write_json
from movie_genres.hub.gate import ONNX_TOLERANCE
from movie_genres.inference.runtimes import (
    ONNX_FILES,
    ONNX_REQUIREMENTS,
    OnnxRuntime,
    compute_logits,
)
from movie_genres.model.folders import stored_max_length


def check_installed() -> None:
    """Raises: InputError: If a package that only --onnx needs is missing; call it before work."""
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
) -> dict[str, dict[str, Any]]:
    """Write model_folder/onnx/, and its scores into the report's metrics.json and card.

    Args:
        model: As published, with its decisions in its config; it is moved to the CPU.
        predictions: Of this model on the test split, by PyTorch.
        model_folder: Has config.json and the tokenizer.
        report_folder: Has metrics.json; it may be the same folder.

    Returns:
        By precision: file, bytes, sha256, largest_difference (of a probability), changed_decisions,
        test (the scores). metrics.json keeps it as "onnx".

    Raises:
        InputError: If the model cannot be exported, or the probabilities by the float32 file
            differ; then onnx/ and the report are as before.
    """
    new = model_folder / "onnx.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        export_float32(model, tokenizer, new / ONNX_FILES["float32"])
        quantize(new / ONNX_FILES["float32"], new / ONNX_FILES["int8"])
        found = {
            precision: {
                "file": f"onnx/{name}",
                "bytes": (new / name).stat().st_size,
                "sha256": file_sha256(new / name),
                **_measure(
                    OnnxRuntime(new / name, precision), tokenizer, model.config, predictions
                ),
            }
            for precision, name in ONNX_FILES.items()
        }
        difference = found["float32"]["largest_difference"]
        if not difference <= ONNX_TOLERANCE:  # NaN is a difference
            raise InputError(
                f"probabilities by the ONNX export of this {model.config.model_type} model differ "
                f"by up to {difference:.2g} from PyTorch's; run without --onnx"
            )
        replace_folder(new, model_folder / "onnx")
    finally:
        shutil.rmtree(new, ignore_errors=True)
    path = report_folder / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) | {"onnx": found}
    (report_folder / "README.md").write_text(render_card(metrics), encoding="utf-8")
    write_json(path, metrics)
    return found


class _Logits(torch.nn.Module):
    """A classifier as a function of tensors by position.

    When transformers.js truncates a text, it also drops the closing token ([SEP]), which changes
    the scores. So the last token of a text is always set to it; other texts end with it anyway.
    """

    def __init__(
        self, model: PreTrainedModel, names: Sequence[str], closing_token: int | None
    ) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.closing_token = closing_token

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        inputs = dict(zip(self.names, tensors, strict=True))
        if self.closing_token is not None:
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            last = torch.where(mask[:, -1:] == 1, self.closing_token, ids[:, -1:])
            inputs["input_ids"] = torch.cat([ids[:, :-1], last], dim=1)
        return self.model(**inputs).logits


def closing_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Id of the special token that ends every text; None if none does, or padding comes first."""
    last = tokenizer("one")["input_ids"][-1]
    ends = last in tokenizer.all_special_ids and tokenizer.padding_side == "right"
    return last if ends else None


def export_float32(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write a model as ONNX: from the tokenizer's outputs, of any batch size and length, to logits.

    Raises:
        InputError: If torch cannot export this kind of model.
    """
    # Two rows of different lengths: the exporter takes a size of one for a constant.
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
        raise InputError(
            f"torch cannot export this {model.config.model_type} model to ONNX, run without "
            f"--onnx: {one_line(error)}"
        ) from None


def quantize(source: Path, target: Path) -> None:
    """Write an int8 file: the weights of matrix products and embeddings have 8 bits.

    The weights are unsigned with a scale per channel, because signed ones overflow in the 16-bit
    sums of CPUs without VNNI. The final Linear, which holds the calibration, stays float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' log lines and warnings, which the user cannot act on."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _measure(
    runtime: OnnxRuntime,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    predictions: Predictions,
) -> dict[str, Any]:
    max_length = stored_max_length(tokenizer, config)
    logits = compute_logits(runtime, tokenizer, predictions.texts, max_length=max_length)
    y_prob = expit(logits.astype(np.float64))
    y_pred = Decisions.of_config(config, "the model").decide(y_prob)
    return {
        "largest_difference": float(np.abs(y_prob - predictions.y_prob).max()),
        "changed_decisions": int((y_pred != predictions.y_pred).sum()),
        "test": compute_scores(predictions.y_true, y_pred, y_prob),
    }
