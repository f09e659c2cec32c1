"""Texts -> logits, in batches of similar length: by PyTorch in several precisions, or an ONNX file.

Every logit that is evaluated, published or predicted comes from here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.decisions.stored import label_names
from movie_genres.errors import InputError
from movie_genres.files import file_sha256
from movie_genres.inference.cpu import tune_for_cpu
from movie_genres.model.batching import rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast

ONNX_FILES = {"float32": "model.onnx", "int8": "model_quantized.onnx"}
"""By precision, in the folder onnx/ beside the model, as transformers.js expects them."""
ONNX_REQUIREMENTS = "requirements-onnx.txt"
TEXTS_AT_ONCE = 10_000
"""Are tokenised: their tokens, as lists, take some kilobytes each."""


class Runtime(Protocol):
    """What computes the logits of a batch."""

    name: str
    """And precision."""
    n_labels: int
    batch_tokens: int
    """Tokens of a batch that suit it."""
    batches_at_once: int
    """Batches that it computes side by side."""
    threads: ThreadPoolExecutor | None
    """As many, of one core each; None: batches are computed one after the other."""

    def logits(self, padded: BatchEncoding) -> np.ndarray:
        """float32, shape (n_rows, n_labels), of numpy arrays as the tokenizer names them."""

    def weights_sha256(self) -> str:
        """Of all numbers that the logits depend on."""


class TorchRuntime:
    """A model by PyTorch, on the device where it lies.

    Args:
        model: Is set to evaluation.
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
        self._device = model.device  # a tuned model has no parameters left to tell

    @classmethod
    def tuned(cls, model: PreTrainedModel, precision: str) -> TorchRuntime:
        """For a model that only predicts from now on: on a CPU it is changed for speed, and each
        core computes batches of its own, as many as there are threads."""
        runtime = cls(model, precision)
        if model.device.type == "cpu" and precision != "fp16":
            tune_for_cpu(model, precision)
            runtime._autocast = "float32"  # the weights have the precision already
            runtime.use_threads(torch.get_num_threads())
        return runtime

    def use_threads(self, count: int) -> None:
        """Compute so many batches side by side."""
        self.batches_at_once = count
        # Kept: new threads for each chunk of a long file would leave their memory behind.
        self.threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    @torch.inference_mode()
    def logits(self, padded: BatchEncoding) -> np.ndarray:
        tensors = {n: torch.from_numpy(values).to(self._device) for n, values in padded.items()}
        with autocast(self._autocast, self._device):
            logits: torch.Tensor = self.model(**tensors).logits
        return logits.float().cpu().numpy()

    def weights_sha256(self) -> str:
        digest = hashlib.sha256(self.model.config.to_json_string().encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            plain = tensor.to_dense() if tensor.is_mkldnn else tensor
            digest.update((plain.float() if plain.is_floating_point() else plain).cpu().numpy())
        return digest.hexdigest()


class OnnxRuntime:
    """An ONNX file by ONNX Runtime, on the CPU.

    In the int8 file the scale of the activations is that of a whole batch, so that a score there
    depends a little on the other texts of its batch.
    """

    def __init__(self, path: Path, precision: str) -> None:
        import onnxruntime

        self.path = path
        self.name = f"ONNX Runtime in {precision}"

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # it keeps a plan for every shape that it has met
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
    """Raises: InputError: If ONNX Runtime is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(f"--onnx needs onnxruntime: python -m pip install -r {ONNX_REQUIREMENTS}")


def compute_logits(
    runtime: Runtime,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
    batch_tokens: int | None = None,
    on_batch: Callable[[int], object] = lambda n_texts: None,
) -> np.ndarray:
    """Logits of texts in their order.

    Args:
        max_length: Tokens after which a text is cut.
        batch_tokens: Of a batch; None: what suits the runtime.
        on_batch: Is told the number of texts of each batch that is done.

    Returns:
        float32, shape (n_texts, n_labels).
    """
    outputs = np.empty((len(texts), runtime.n_labels), dtype=np.float32)
    budget = batch_tokens or runtime.batch_tokens
    batches = length_sorted_batches(tokenizer, texts, max_length, budget)
    # Of a few batches, each is computed by all cores: the answer comes sooner.
    first = list(itertools.islice(batches, 2 * runtime.batches_at_once))
    few = len(first) < 2 * runtime.batches_at_once
    for rows, logits in _computed(runtime, itertools.chain(first, batches), few):
        outputs[rows] = logits
        on_batch(len(rows))
    return outputs


def _computed(
    runtime: Runtime, batches: Iterable[tuple[np.ndarray, BatchEncoding]], few: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and logits of batches, in their order."""
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
        # A thread that starts sets its own number of cores, but also that of those to come.
        torch.set_num_threads(threads_before)


def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
) -> np.ndarray:
    """Logits of texts by a model as it is, in float32, shape (n_texts, n_labels)."""
    return compute_logits(TorchRuntime(model), tokenizer, texts, max_length=max_length)


def length_sorted_batches(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int, batch_tokens: int
) -> Iterator[tuple[np.ndarray, BatchEncoding]]:
    """Padded batches of similar length, each with the rows it is made of.

    The longest come first among each `TEXTS_AT_ONCE` texts.

    Args:
        batch_tokens: A batch has as many texts as fit, padding included; one at least.
    """
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        some = list(texts[first : first + TEXTS_AT_ONCE])
        encoded = tokenizer(some, truncation=True, max_length=max_length)
        names = [name for name in tokenizer.model_input_names if name in encoded]
        lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        for rows in rows_of_batches(lengths, batch_tokens):
            batch = {name: [encoded[name][row] for row in rows] for name in names}
            yield first + rows, tokenizer.pad(batch, return_tensors="np")
