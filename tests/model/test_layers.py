"""Freezing the embeddings and the lower layers."""

from __future__ import annotations

import pytest
import torch
from encoders import MAKERS
from transformers import PreTrainedModel

from movie_genres.model.head import final_linear
from movie_genres.model.layers import freeze_lower


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


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
