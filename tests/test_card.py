from __future__ import annotations

import jinja2
import pytest
from huggingface_hub import ModelCardData

from movie_genres.card import render_card


def test_a_missing_variable_is_an_error_and_no_empty_space() -> None:
    with pytest.raises(jinja2.UndefinedError, match="model_name"):
        render_card(ModelCardData(language="en"), {})
