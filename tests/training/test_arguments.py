"""Recipe files: what they set, what wins over them, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import ROOT

from movie_genres.errors import InputError
from movie_genres.training.arguments import (
    FinetuneArguments,
    ProjectArguments,
    parse_finetune_args,
)

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))


def test_a_recipe_gives_the_values_and_flags_after_it_win(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("max_length: 128\nlearning-rate: 1e-4\nnever_empty: true\nsoup: 2\n")
    project, args = parse_finetune_args([str(recipe), "--soup", "1", "--output-dir", "runs/mine"])
    assert (project.max_length, project.soup, project.never_empty) == (128, 1, True)
    assert (args.learning_rate, args.output_dir) == (1e-4, "runs/mine")


def test_a_recipe_in_json_gives_the_same(tmp_path: Path) -> None:
    values = {"max_length": 128, "lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"a": 1}}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    project, args = parse_finetune_args([str(tmp_path / "mine.json")])
    assert project.max_length == 128
    assert args.lr_scheduler_type == "cosine"
    assert args.lr_scheduler_kwargs == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lerning_rate: 1", "unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        ("zzz: 1", "unknown key 'zzz'; see finetune.py --help"),
        ("soup:", "gives soup no value"),
        ("- soup", "is no list of lines"),
        ("a: b: c", "cannot be read: .*line 1"),
        ("soup: 0", "--soup 0 is less than 1"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(tmp_path: Path, content: str, message: str) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(content)
    with pytest.raises(InputError, match=message):
        parse_finetune_args([str(recipe)])


def test_a_recipe_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="the recipe nowhere.yaml cannot be read"):
        parse_finetune_args(["nowhere.yaml"])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(recipe: Path) -> None:
    parse_finetune_args([str(recipe)])


def test_minilm_cpu_is_what_no_recipe_gives() -> None:
    for kind, by_recipe, by_default in zip(
        (ProjectArguments, FinetuneArguments),
        parse_finetune_args([str(ROOT / "configs" / "recipes" / "minilm_cpu.yaml")]),
        parse_finetune_args([]),
        strict=True,
    ):
        for field in dataclasses.fields(kind):
            assert getattr(by_recipe, field.name) == getattr(by_default, field.name), field.name
