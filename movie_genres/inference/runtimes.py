"""Texts -> logits, in batches of similar length, by PyTorch or by ONNX Runtime.

Every logit that is evaluated, published or predicted is computed here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import cached_file

from movie_genres.decisions.stored import label_names
from movie_genres.errors import InputError, one_line
from movie_genres.files import file_sha256
from movie_genres.inference.precisions import ONNX_FILES
from movie_genres.model.batching import rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast, forbid_tf32
from movie_genres.model.folders import (
    LOADING_ERRORS,
    check_model_name,
    check_tokenizer,
    model_folder,
)

if TYPE_CHECKING:
    from transformers import (
        BatchEncoding,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

ONNX_REQUIREMENTS = "requirements-onnx.txt"
TEXTS_AT_ONCE = 10_000
"""Texts tokenised together; the tokens of one, as lists, take some kilobytes."""
_SHAPES_KEPT = "64"
"""Shapes of a matrix product for which PyTorch and oneDNN keep what they prepared, per thread. By
default 1,024 each: 146 shapes cost 302 MiB in bf16, with this limit 64. Read at the first product.
"""
_BATCH = {
    "input_ids": torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
}
"""On which a shortened last layer must give the same logits."""


class Runtime(Protocol):
    """A model that computes the logits of a batch."""

    name: str
    """Of the library, with the precision."""
    n_labels: int
    batch_tokens: int
    """Tokens of a batch at which it is fastest, padding included."""
    batches_at_once: int
    """Batches that it computes in parallel."""
    threads: ThreadPoolExecutor | None
    """One thread of one core for each of them; None: batches are computed one after the other."""

    def logits(self, padded: BatchEncoding) -> np.ndarray:
        """Logits of a padded batch of NumPy arrays: float32, shape (n_rows, n_labels)."""

    def weights_sha256(self) -> str:
        """SHA-256 of all numbers that the logits depend on."""


class TorchRuntime:
    """A PyTorch model on its device.

    Args:
        model: It is set to evaluation mode.
        precision: float32, bf16 or fp16 (autocast; the weights stay float32).
    """

    def __init__(self, model: PreTrainedModel, precision: str = "float32") -> None:
        self.model = model.eval()
        self.precision = precision
        self.name = f"PyTorch in {precision}"
        self.n_labels = len(label_names(model.config))
        self.batch_tokens = tokens_that_suit(model.device)
        self.batches_at_once = 1
        self.threads: ThreadPoolExecutor | None = None
        self._autocast = precision

    @classmethod
    def tuned(cls, model: PreTrainedModel, precision: str) -> TorchRuntime:
        """For prediction only: on a CPU the model is changed in place, and each core computes
        batches of its own.

        The last layer computes no position that the head does not read. In bf16 the weights are
        bf16 too, which autocast would convert for each batch.
        """
        runtime = cls(model, precision)
        if model.device.type == "cpu" and precision != "fp16":
            from movie_genres.model.cpu import shorten_last_layer  # imports much of transformers

            for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
                os.environ.setdefault(name, _SHAPES_KEPT)
            with suppress(InputError):  # an architecture without a stack of layers
                shorten_last_layer(runtime.model, _BATCH)
            if precision == "bf16":
                model.to(torch.bfloat16)  # type: ignore[arg-type]  # the stub of `to` lacks it
            runtime._autocast = "float32"  # the weights have the precision already
            runtime.use_threads(torch.get_num_threads())
        return runtime

    def use_threads(self, count: int) -> None:
        """Compute `count` batches in parallel."""
        self.batches_at_once = count
        # Kept for all chunks of a long file: the memory of ended threads is not all freed.
        self.threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    @torch.inference_mode()
    def logits(self, padded: BatchEncoding) -> np.ndarray:
        tensors = {
            n: torch.from_numpy(values).to(self.model.device) for n, values in padded.items()
        }
        with autocast(self._autocast, self.model.device):
            logits: torch.Tensor = self.model(**tensors).logits
        return logits.float().cpu().numpy()

    def weights_sha256(self) -> str:
        digest = hashlib.sha256(self.model.config.to_json_string().encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update((tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy())
        return digest.hexdigest()


class OnnxRuntime:
    """An ONNX file, run by ONNX Runtime on the CPU.

    In int8 the activations of a whole batch have one scale, so that a logit depends slightly on the
    other texts of its batch.
    """

    def __init__(self, path: Path, precision: str) -> None:
        import onnxruntime

        self.path = path
        self.name = f"ONNX Runtime in {precision}"

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # it would keep a plan for every shape
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self.n_labels = int(self._session.get_outputs()[0].shape[1])
        self.batch_tokens = tokens_that_suit(torch.device("cpu"))
        self.batches_at_once = 1
        self.threads: ThreadPoolExecutor | None = None

    def logits(self, padded: BatchEncoding) -> np.ndarray:
        arrays = {name: padded[name].astype(np.int64, copy=False) for name in self._inputs}
        logits: np.ndarray = self._session.run(["logits"], arrays)[0]
        return logits

    def weights_sha256(self) -> str:
        return file_sha256(self.path)


def check_onnxruntime() -> None:
    """Refuse --onnx where nothing can run the file.

    Raises:
        InputError: If ONNX Runtime is not installed.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(f"--onnx needs onnxruntime: python -m pip install -r {ONNX_REQUIREMENTS}")


def load_onnx(
    name: str, precision: str
) -> tuple[OnnxRuntime, PretrainedConfig, PreTrainedTokenizerBase]:
    """Load a model's ONNX file, with its config and tokenizer.

    Raises:
        InputError: If there is no such folder or Hub id, it has no such file, or it cannot be read.
    """
    check_onnxruntime()
    name = model_folder(name)
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
            f"--model {name!r} has no {file}; write it with evaluate_model.py --onnx, or leave "
            "out --onnx"
        ) from None
    try:
        return OnnxRuntime(Path(str(path)), precision), config, tokenizer
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        raise InputError(f"{path} cannot be loaded: {one_line(error)}") from None


def compute_logits(
    runtime: Runtime,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
    batch_tokens: int | None = None,
    on_batch: Callable[[int], object] = lambda n_texts: None,
) -> np.ndarray:
    """Logits of texts, in the order of the texts.

    Args:
        max_length: Tokens to which a text is truncated.
        batch_tokens: Most tokens of a batch, padding included; None: the runtime's `batch_tokens`.
        on_batch: Called with the number of texts of each finished batch.

    Returns:
        float32, shape (n_texts, n_labels).
    """
    outputs = np.empty((len(texts), runtime.n_labels), dtype=np.float32)
    budget = batch_tokens or runtime.batch_tokens
    batches = length_sorted_batches(tokenizer, texts, max_length, budget)
    # A few batches are computed one after the other, each by all cores, which takes less time.
    first = list(itertools.islice(batches, 2 * runtime.batches_at_once))
    few = len(first) < 2 * runtime.batches_at_once
    for rows, logits in _computed(runtime, itertools.chain(first, batches), few):
        outputs[rows] = logits
        on_batch(len(rows))
    return outputs


def _computed(
    runtime: Runtime, batches: Iterable[tuple[np.ndarray, BatchEncoding]], few: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and logits of each batch, in the order of the batches."""
    if few or runtime.threads is None:
        for rows, padded in batches:
            yield rows, runtime.logits(padded)
        return
    threads_before = torch.get_num_threads()
    waiting: deque[tuple[np.ndarray, Future[np.ndarray]]] = deque()
    try:
        for rows, padded in batches:
            waiting.append((rows, runtime.threads.submit(runtime.logits, padded)))
            if len(waiting) > 2 * runtime.batches_at_once:
                rows, future = waiting.popleft()
                yield rows, future.result()
        for rows, future in waiting:
            yield rows, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
        # set_num_threads in a new thread also changes the default of threads that start later.
        torch.set_num_threads(threads_before)


def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
) -> np.ndarray:
    """Logits of texts by an unchanged model in true float32, shape (n_texts, n_labels)."""
    forbid_tf32()
    return compute_logits(TorchRuntime(model), tokenizer, texts, max_length=max_length)


def length_sorted_batches(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int, batch_tokens: int
) -> Iterator[tuple[np.ndarray, BatchEncoding]]:
    """Padded batches of texts of similar length, each with the indices of its texts.

    Of each `TEXTS_AT_ONCE` texts the longest come first.

    Args:
        batch_tokens: Most tokens of a batch, padding included; a batch has one text at least.
    """
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        some = list(texts[first : first + TEXTS_AT_ONCE])
        encoded = tokenizer(some, truncation=True, max_length=max_length)
        names = [name for name in tokenizer.model_input_names if name in encoded]
        lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        for rows in rows_of_batches(lengths, batch_tokens):
            batch = {name: [encoded[name][row] for row in rows] for name in names}
            yield first + rows, tokenizer.pad(batch, return_tensors="np")
