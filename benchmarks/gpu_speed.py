"""Speed and memory of training steps of bert-base's shape: benchmarks/gpu.py prints them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, set_seed

from movie_genres.errors import one_line
from movie_genres.model.devices import autocast
from movie_genres.training.losses import weighted_bce_sum

LABELS = 20
VARIANTS = ("eager", "sdpa", "compile")
_WARM_UP = 3
_FILMS_OF_SCALE = (5_000, 50_000, 500_000)
_EPOCHS = 3


@dataclass(frozen=True)
class Shape:
    """Of an encoder and its texts."""

    name: str
    layers: int
    width: int
    heads: int
    tokens: int
    """Of a row, padding included."""

    def model(self, attention: str) -> PreTrainedModel:
        """With random weights, the same at every call."""
        set_seed(0)
        config = BertConfig(
            num_hidden_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.width,
        )
        config.num_labels = LABELS
        config._attn_implementation = attention
        return BertForSequenceClassification(config)

    def batch(self, rows: int) -> dict[str, torch.Tensor]:
        """Made-up ids; the texts are of half the tokens to all of them, the rest is padding."""
        rng = np.random.default_rng(0)
        lengths = rng.integers(self.tokens // 2, self.tokens + 1, rows)
        lengths[0] = self.tokens
        mask = np.arange(self.tokens) < lengths[:, None]
        ids = rng.integers(1000, 30_000, mask.shape) * mask
        labels = rng.random((rows, LABELS)) < 0.1
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "labels": torch.from_numpy(labels.astype(np.float32)),
        }

    def flops(self, rows: int) -> float:
        """Of the matrix products of a step: forward, and twice as many backward."""
        linear = 12 * self.width**2  # query, key, value, output, and two of four times the width
        attention = 2 * self.tokens * self.width
        return 3 * 2 * rows * self.tokens * self.layers * (linear + attention)


BERT_BASE = Shape("bert-base", layers=12, width=768, heads=12, tokens=128)
TINY = Shape("tiny", layers=2, width=64, heads=2, tokens=32)


def loss_of(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """As `GenreTrainer.compute_loss`, on one process."""
    labels = batch["labels"]
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return weighted_bce_sum(logits, labels, torch.ones(LABELS).to(labels)) / labels.numel()


@dataclass(frozen=True)
class Speed:
    """Of one variant at one batch size."""

    seconds: float
    """Of a step."""
    rows: int
    useful_tokens: int
    """Of a batch, padding not counted."""
    peak_bytes: int | None

    @property
    def films_per_second(self) -> float:
        return self.rows / self.seconds


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(shape: Shape, variant: str, rows: int, device: torch.device, seconds: float) -> Speed:
    """Time training steps in bf16 with AdamW, for about so many seconds after a warm-up."""
    model: Any = shape.model("eager" if variant == "eager" else "sdpa").to(device)  # type: ignore[arg-type]
    model.train()
    batch = {name: values.to(device) for name, values in shape.batch(rows).items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device.type == "cuda")
    computed = torch.compile(model) if variant == "compile" else model

    def step() -> None:
        with autocast("bf16", device):
            loss = loss_of(computed, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(_WARM_UP):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    synchronise(device)
    began, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - began < seconds:
        step()
        steps += 1
        if steps % 5 == 0:
            synchronise(device)  # or the clock would run ahead of the device
    synchronise(device)
    took = (time.perf_counter() - began) / steps
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Speed(took, rows, int(batch["attention_mask"].sum()), peak)


def product_speed(device: torch.device, size: int) -> float:
    """Flops per second of a plain product of two square matrices in bf16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    synchronise(device)
    began, count = time.perf_counter(), 20
    for _ in range(count):
        a @ b
    synchronise(device)
    return count * 2 * size**3 / (time.perf_counter() - began)


def speed_table(
    shape: Shape, device: torch.device, *, variants: list[str], batches: list[int],
    seconds: float, deadline: float,
) -> Iterator[str]:  # fmt: skip
    """Markdown lines: each variant at each batch size, then the hours of a training.

    Args:
        seconds: Of the timed steps of each measurement.
        deadline: By `time.monotonic`; what is left then is not measured, and says so.
    """
    plain = product_speed(device, 8192 if device.type == "cuda" else 512)
    yield (
        f"{shape.name}'s shape, rows of {shape.tokens} tokens of which "
        f"{shape.batch(64)['attention_mask'].float().mean():.0%} are text, bf16, AdamW, everything "
        f"trained. A plain bf16 product reaches {plain / 1e12:.3g} TFLOP/s."
    )
    yield ""
    yield "| attention | batch | films/s | useful tokens/s | share of that product | peak MiB |"
    yield "|---|---:|---:|---:|---:|---:|"
    best: Speed | None = None
    for variant in variants:
        for rows in batches:
            if time.monotonic() > deadline:
                yield f"| {_NAMES[variant]} | {rows} | not measured: the time was up | | | |"
                continue
            try:
                found = measure(shape, variant, rows, device, seconds)
            except Exception as error:  # out of memory, no compiler, ...: said in its place
                yield f"| {_NAMES[variant]} | {rows} | {_cell(error)} | | | |"
                continue
            yield _row(variant, found, shape, plain)
            if best is None or found.films_per_second > best.films_per_second:
                best = found
    if best is not None:
        yield ""
        yield f"At the best of these, {best.films_per_second:,.0f} films/s, {_EPOCHS} epochs take:"
        yield ""
        yield "| films | hours |"
        yield "|---:|---:|"
        for films in _FILMS_OF_SCALE:
            yield f"| {films:,} | {_EPOCHS * films / best.films_per_second / 3600:.3g} |"


_NAMES = {"eager": "eager", "sdpa": "fused (sdpa)", "compile": "fused, `--torch-compile`"}


def _row(variant: str, found: Speed, shape: Shape, plain: float) -> str:
    share = shape.flops(found.rows) / found.seconds / plain
    memory = "" if found.peak_bytes is None else f"{found.peak_bytes / 2**20:,.0f}"
    return (
        f"| {_NAMES[variant]} | {found.rows} | {found.films_per_second:,.0f} "
        f"| {found.useful_tokens / found.seconds:,.0f} | {share:.0%} | {memory} |"
    )


def _cell(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}".replace("|", "/")[:200]
