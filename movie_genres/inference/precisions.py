"""The precisions that each runtime knows: checked before torch and transformers are imported."""

from __future__ import annotations

from movie_genres.errors import InputError

ONNX_FILES = {"float32": "model.onnx", "int8": "model_quantized.onnx"}
"""By precision, in the folder onnx/ beside the model, as transformers.js expects them."""
_TORCH_PRECISIONS = ("float32", "bf16", "auto")
PRECISIONS = tuple(dict.fromkeys((*_TORCH_PRECISIONS, *ONNX_FILES)))


def check_precision(precision: str | None, *, onnx: bool) -> None:
    """Refuse a precision that the runtime does not have; None stands for its default.

    Raises:
        InputError: If it has no such precision.
    """
    known = tuple(ONNX_FILES) if onnx else _TORCH_PRECISIONS
    if precision is not None and precision not in known:
        runtime = "with --onnx" if onnx else "without --onnx"
        raise InputError(f"--precision {precision}: {runtime} it is one of {', '.join(known)}")
