"""Freezing the lower layers, and the upper ones as a model of their own."""

from __future__ import annotations

import pytest
import torch
from encoders import MAKERS
from transformers import PreTrainedModel

from movie_genres.model.head import final_linear
from movie_genres.model.layers import (
    FirstPositionLayer,
    captured_states,
    find_stack,
    freeze_lower,
    upper_part,
)

FIRST_POSITION_ONLY = ("bert", "roberta", "electra")


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 50, (5, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


# ALBERT's layers are one layer, applied again and again: the next test is about it.
@pytest.mark.parametrize("model", [name for name in MAKERS if name != "albert"], indirect=True)
def test_freezing_half_leaves_the_upper_layer_and_the_head(model: PreTrainedModel) -> None:
    assert freeze_lower(model, 0.5) == 1
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert not any("embedding" in name for name in trained)
    assert not any(".0." in name and "layer" in name for name in trained)
    assert any(".1." in name and "layer" in name for name in trained)
    assert final_linear(model).weight.requires_grad


def test_layers_that_share_their_weights_are_not_frozen() -> None:
    model = MAKERS["albert"]()
    assert freeze_lower(model, 0.67) == 0
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert any("albert_layer_groups" in name for name in trained)
    assert not any("embeddings" in name for name in trained)


def test_freezing_nothing_trains_everything(model: PreTrainedModel) -> None:
    assert freeze_lower(model, 0) == 0
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("model", [name for name in MAKERS if name != "albert"], indirect=True)
def test_the_upper_part_learns_from_states_what_the_whole_learns_from_texts(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> None:
    freeze_lower(model, 0.5)
    upper = upper_part(model, 1, batch)
    assert upper is not None
    labels = torch.eye(3)[[0, 1, 2, 0, 1]]
    with captured_states(model, 1) as seen:
        whole = model(**batch, labels=labels)
    part = upper(inputs_embeds=seen[0], attention_mask=batch["attention_mask"], labels=labels)
    assert torch.allclose(part.logits, whole.logits, atol=1e-5)
    gradients = []
    for loss in (whole.loss, part.loss):
        model.zero_grad()
        loss.backward()
        gradients.append([w.grad.clone() for w in model.parameters() if w.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 5
    for expected, found in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", FIRST_POSITION_ONLY)
def test_no_position_is_computed_that_the_head_does_not_read(
    name: str, batch: dict[str, torch.Tensor]
) -> None:
    upper = upper_part(MAKERS[name](), 1, batch)
    assert upper is not None
    last = find_stack(upper)[1][-1]
    assert isinstance(last, FirstPositionLayer)
    assert last(torch.zeros(5, 7, 16)).shape == (5, 1, 16)


def test_a_head_that_reads_every_position_keeps_them(batch: dict[str, torch.Tensor]) -> None:
    class MeanPooler(torch.nn.Module):
        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return states.mean(1)

    model = MAKERS["bert"]()
    model.bert.pooler = MeanPooler()
    upper = upper_part(model, 1, batch)
    assert upper is not None
    assert not isinstance(find_stack(upper)[1][-1], FirstPositionLayer)


@pytest.mark.parametrize(("name", "n_frozen"), [("albert", 0), ("bert", 0), ("bert", 2)])
def test_there_is_no_upper_part_where_no_or_every_layer_is_frozen(
    name: str, n_frozen: int, batch: dict[str, torch.Tensor]
) -> None:
    assert upper_part(MAKERS[name](), n_frozen, batch) is None
