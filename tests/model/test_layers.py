"""Freezing the embeddings, the lower layers and what these share with the upper ones."""

from __future__ import annotations

import pytest
import torch
from encoders import MAKERS, REFUSED, batch_of_ids
from transformers import PreTrainedModel

from movie_genres.model.cpu import activations
from movie_genres.model.head import final_linear
from movie_genres.model.layers import find_stack, freeze_lower


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


def trained(model: PreTrainedModel) -> set[str]:
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


# ALBERT's layers are one layer, applied again and again: a test below is about it.
@pytest.mark.parametrize("model", [name for name in MAKERS if name != "albert"], indirect=True)
def test_what_enters_the_first_trainable_layer_stays_the_same_whatever_is_trained(
    model: PreTrainedModel,
) -> None:
    batch, layers = batch_of_ids(), find_stack(model)
    n_frozen = freeze_lower(model, 0.5, batch)
    assert n_frozen == len(layers) // 2
    before = activations(model, n_frozen, batch), model(**batch).logits.detach()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += torch.randn(weight.shape, generator=generator)
    assert torch.equal(activations(model, n_frozen, batch), before[0])
    assert not torch.allclose(model(**batch).logits, before[1], atol=1e-2)
    for layer in layers[n_frozen:]:
        own = dict(layer.named_parameters())
        assert sum(weight.requires_grad for weight in own.values()) > 0.8 * len(own)
    assert final_linear(model).weight.requires_grad


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("deberta-v2", {"encoder.rel_embeddings.weight", "encoder.LayerNorm.weight"}),
        ("mpnet", {"encoder.relative_attention_bias.weight"}),
        ("electra", {"embeddings_project.weight", "embeddings_project.bias"}),
    ],
)
def test_what_all_layers_share_is_frozen_with_the_lower_ones(name: str, shared: set[str]) -> None:
    for share in (0.1, 0.5, 1.0):
        model = MAKERS[name]().eval()
        freeze_lower(model, share, batch_of_ids())
        names = {name.split(".", 1)[1] for name in trained(model)}
        assert not shared & names, share
        assert "encoder.layer.1.output.LayerNorm.weight" in names or share == 1.0


def test_layers_in_lists_of_blocks_are_counted_one_by_one() -> None:
    model = REFUSED["funnel"]().eval()
    assert len(find_stack(model)) == 4
    assert freeze_lower(model, 0.75, batch_of_ids()) == 3


def test_layers_that_share_their_weights_are_not_frozen() -> None:
    model = MAKERS["albert"]().eval()
    assert freeze_lower(model, 0.67, batch_of_ids()) == 0
    assert any("albert_layer_groups" in name for name in trained(model))
    assert not any("embedding" in name for name in trained(model))


def test_freezing_nothing_trains_everything(model: PreTrainedModel) -> None:
    assert freeze_lower(model, 0, batch_of_ids()) == 0
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("name", ["bert", "bart"])
def test_frozen_layers_have_no_dropout(name: str) -> None:
    torch.manual_seed(0)
    model = MAKERS[name]().train()  # with the dropout of its configuration
    n_frozen = freeze_lower(model, 0.5, batch_of_ids())
    first, second = (activations(model, n_frozen, batch_of_ids()) for _ in range(2))
    assert torch.equal(first, second)
