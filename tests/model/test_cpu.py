"""What makes a CPU faster changes nothing but the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from encoders import MAKERS, Films, batch_of_ids, collate
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import finetune
from movie_genres.errors import InputError, TrainingError
from movie_genres.model import cached_films
from movie_genres.model.cached_films import collate_activations
from movie_genres.model.cpu import (
    activations,
    cached_activations,
    find_shortcut,
    shorten_last_layer,
)
from movie_genres.model.layers import find_stack, freeze_lower
from movie_genres.training import batches

Arguments = Callable[..., list[str]]
FIRST_POSITION_ONLY = ("bert", "roberta", "electra")
# ALBERT's layers are one layer, applied again and again. Those
# of BART and T5 are followed by a decoder that reads the text anew, and what a small ELECTRA
# embeds is narrower than its layers.
NOT_CACHED = ("albert", "bart", "t5", "electra-small")
STACKED = [name for name in MAKERS if name not in NOT_CACHED]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return batch_of_ids()


@pytest.mark.parametrize("model", STACKED, indirect=True)
def test_the_trainable_layers_learn_from_activations_what_the_model_learns_from_texts(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> None:
    freeze_lower(model, 0.5, batch)
    shortcut = find_shortcut(model, 1, batch)
    assert shortcut is not None
    labels = torch.eye(3)[[0, 1, 2, 0, 1]]
    from_texts = model(**batch, labels=labels)
    gradients = []
    from_texts.loss.backward()
    gradients.append([w.grad.clone() for w in model.parameters() if w.grad is not None])
    model.zero_grad()
    inputs = {"inputs_embeds": activations(model, 1, batch), "labels": labels}
    with shortcut.applied(model):
        cached = model(**inputs, attention_mask=batch["attention_mask"])
    cached.loss.backward()
    gradients.append([w.grad.clone() for w in model.parameters() if w.grad is not None])
    assert torch.allclose(cached.logits, from_texts.logits, atol=1e-5)
    assert len(gradients[0]) == len(gradients[1]) > 5
    for expected, found in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("model", STACKED, indirect=True)
def test_the_model_keeps_its_weights_names_and_is_as_before_afterwards(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> None:
    before, names = model(**batch).logits, list(model.state_dict())
    shortcut = find_shortcut(model, 1, batch)
    assert shortcut is not None
    with pytest.raises(KeyboardInterrupt), shortcut.applied(model):
        assert list(model.state_dict()) == names
        assert model.main_input_name == "inputs_embeds"
        raise KeyboardInterrupt
    assert torch.equal(model(**batch).logits, before)
    assert model.main_input_name == "input_ids"


@pytest.mark.parametrize("model", FIRST_POSITION_ONLY, indirect=True)
def test_no_position_is_computed_that_the_head_does_not_read(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> None:
    shortcut = find_shortcut(model, 1, batch)
    assert shortcut is not None and shortcut.shortened
    expected, last = model(**batch).logits, find_stack(model)[-1]
    shorten_last_layer(model, batch)
    assert torch.allclose(model(**batch).logits, expected, atol=1e-5)
    assert last(torch.zeros(5, 7, 16)).shape == (5, 1, 16)


def test_a_head_that_reads_every_position_keeps_them(batch: dict[str, torch.Tensor]) -> None:
    class MeanPooler(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return hidden.mean(1)

    model = MAKERS["bert"]().eval()
    model.bert.pooler = MeanPooler()
    shortcut = find_shortcut(model, 1, batch)
    assert shortcut is not None and not shortcut.shortened
    shorten_last_layer(model, batch)
    assert find_stack(model)[-1](torch.zeros(5, 7, 16)).shape == (5, 7, 16)


@pytest.mark.parametrize(
    ("name", "n_frozen"),
    [("bert", 0), ("bert", 2), ("bart", 1), ("t5", 1), ("electra-small", 1)],
)
def test_nothing_is_cached_where_no_or_every_layer_is_frozen_or_the_architecture_has_no_place(
    name: str, n_frozen: int, batch: dict[str, torch.Tensor]
) -> None:
    model = MAKERS[name]().eval()
    before = model(**batch).logits
    assert find_shortcut(model, n_frozen, batch) is None
    assert torch.equal(model(**batch).logits, before)


def test_nothing_is_cached_where_texts_are_padded_on_the_left(
    batch: dict[str, torch.Tensor],
) -> None:
    flipped = {name: values.flip(1) for name, values in batch.items()}
    assert find_shortcut(MAKERS["distilbert"]().eval(), 1, batch) is not None
    assert find_shortcut(MAKERS["distilbert"]().eval(), 1, flipped) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [("embeddings", "the frozen layers"), ("layer.1", "the shortened layers")],
)
def test_a_whole_model_that_is_not_what_was_trained_ends_the_run_and_is_named(
    batch: dict[str, torch.Tensor], change: str, said: str
) -> None:
    torch.manual_seed(0)
    model = MAKERS["bert"]().eval()
    shortcut = find_shortcut(model, 1, batch)
    assert shortcut is not None
    with torch.no_grad():
        for name, weight in model.named_parameters():  # as a training may
            if "layer.0" not in name and "embeddings" not in name:
                weight += 0.1
    shortcut.check(model)
    if change == "embeddings":
        model.bert.embeddings.LayerNorm.bias.data += 0.1
    else:  # something that the shortened layer leaves out
        layer = find_stack(model)[1]
        layer.register_forward_hook(
            lambda _, __, output: output + 0.5 if output.shape[1] > 1 else output
        )
    with pytest.raises(TrainingError, match=rf"another probability \(by 0\.\d+\).*{said}"):
        shortcut.check(model)


@pytest.fixture(scope="module")
def cached_or_not(
    tiny_arguments: Arguments, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two runs that differ in whether the activations of the frozen layer are cached."""
    runs = {}
    for keep in ("always", "never"):
        runs[keep] = tmp_path_factory.mktemp("runs") / keep
        flags = ["--frozen-share", "0.5", "--cache-activations", keep, "--learning-rate", "5e-4"]
        assert finetune.main(tiny_arguments(runs[keep], *flags)) == 0
    return runs


def test_a_training_on_cached_activations_ends_as_one_that_computes_them_at_every_step(
    cached_or_not: dict[str, Path],
) -> None:
    kept, anew = (
        json.loads((cached_or_not[keep] / "metrics.json").read_text())
        for keep in ("always", "never")
    )
    assert kept["test"]["chosen"] == pytest.approx(anew["test"]["chosen"], abs=1e-4)
    assert kept["thresholds"] == pytest.approx(anew["thresholds"], abs=1e-3)
    steps = [
        json.loads(
            (cached_or_not[keep] / "checkpoints/checkpoint-20/trainer_state.json").read_text()
        )
        for keep in ("always", "never")
    ]
    assert steps[0]["num_input_tokens_seen"] == steps[1]["num_input_tokens_seen"] > 0
    for ours, theirs in zip(*(step["log_history"] for step in steps), strict=True):
        assert ours.get("loss") == pytest.approx(theirs.get("loss"), abs=1e-4)
        assert ours.get("eval_loss") == pytest.approx(theirs.get("eval_loss"), abs=1e-4)


def test_a_run_that_demands_activations_is_refused_before_it_trains_without_room_for_them(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_films.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    monkeypatch.setattr(finetune, "train_seed_runs", lambda *_, **__: pytest.fail("trained"))
    flags = ["--frozen-share", "0.5", "--cache-activations", "always", "--probe-c", "0"]
    with pytest.raises(InputError, match="has no room for"):
        finetune.main(tiny_arguments(tmp_path / "run", *flags))


def test_activations_are_gone_once_the_run_is_complete(cached_or_not: dict[str, Path]) -> None:
    assert not (cached_or_not["always"] / "checkpoints" / "cached_activations").exists()


def test_nothing_of_it_runs_where_nothing_is_frozen_or_cached(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("this is for a CPU with frozen layers")

    monkeypatch.setattr(batches, "cached_activations", refuse)
    flags = ["--num-train-epochs", "1", "--frozen-share"]
    for more in (["0"], ["0.5", "--cache-activations", "never"]):
        assert finetune.main(tiny_arguments(tmp_path / more[0], *flags, *more)) == 0
    with pytest.raises(AssertionError):
        finetune.main(tiny_arguments(tmp_path / "cached", *flags, "0.5"))


def test_every_checkpoint_is_a_whole_model(
    cached_or_not: dict[str, Path],
) -> None:
    checkpoint = cached_or_not["always"] / "checkpoints" / "checkpoint-20"
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, output_loading_info=True
    )
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    ids = torch.arange(5, 15)[None]
    other = AutoModelForSequenceClassification.from_pretrained(
        cached_or_not["never"] / "checkpoints" / "checkpoint-20"
    )
    weights, others = model.state_dict(), other.state_dict()
    frozen = [name for name in weights if "embeddings" in name or ".layer.0." in name]
    assert frozen and all(torch.equal(weights[name], others[name]) for name in frozen)
    probabilities = (torch.sigmoid(one(ids).logits) for one in (model, other))
    assert torch.allclose(*probabilities, atol=1e-3)


@pytest.mark.parametrize("name", ["deberta-v2", "mpnet"])
def test_a_training_on_cached_activations_gives_the_model_that_was_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that all layers share would go on learning below the cached activations."""

    def train() -> None:
        torch.manual_seed(0)
        model = MAKERS[name]()
        freeze_lower(model, 0.5, batch_of_ids())
        lengths = np.array([4, 2, 7])
        films = Films(
            {"input_ids": list(range(4, 4 + n)), "labels": np.eye(3)[n % 3]} for n in lengths
        )
        with cached_activations(
            model, {"train": films}, {"train": lengths}, collate,
            n_frozen=1, folder=tmp_path / "cache", precision="float32",
        ) as by_split:  # fmt: skip
            assert by_split is not None
            trained = [weight for weight in model.parameters() if weight.requires_grad]
            optimizer = torch.optim.AdamW(trained, lr=0.05)
            for _ in range(3):
                model.train()
                model(
                    **collate_activations([by_split["train"][n] for n in range(3)])
                ).loss.backward()
                optimizer.step()
                optimizer.zero_grad()

    train()

    def freeze_less(model: PreTrainedModel, *_: Any) -> None:
        for module in (model.base_model.embeddings, find_stack(model)[0]):
            module.requires_grad_(False)

    monkeypatch.setitem(globals(), "freeze_lower", freeze_less)
    with pytest.raises(TrainingError, match="another probability"):
        train()
