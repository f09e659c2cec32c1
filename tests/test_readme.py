"""The README's commands parse with the commands' own parsers, and its file tree is this tree."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT

import evaluate_model
import metrics
import predict
import prepare_dataset
import publish
from benchmarks import compare, curve, fuzz, gpu, recipes, scale, soak, stages, use
from movie_genres.training.arguments import parse_finetune_args
from space import app

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [README, *(path.read_text(encoding="utf-8") for path in (
    *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.py")),
    *sorted((ROOT / "benchmarks").glob("*.*")), ROOT / "space" / "app.py"))]  # fmt: skip
PARSERS = {
    "prepare_dataset.py": prepare_dataset.parse_args,
    "predict.py": predict.parse_args,
    "evaluate_model.py": evaluate_model.parse_args,
    "metrics.py": metrics.parse_args,
    "publish.py": publish.parse_args,
    "finetune.py": parse_finetune_args,
    **{
        f"benchmarks/{module.__name__.rpartition('.')[2]}.py": module.parse_args
        for module in (compare, curve, fuzz, gpu, recipes, scale, soak, stages, use)
    },
    "space/app.py": app.parse_args,
}
COMMAND = re.compile(
    r"(?:accelerate launch|python)(?: --\w+ \S+)* ((?:benchmarks/|space/)?\w+\.py)(.*)"
)


def commands() -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        for line in re.sub(r"\\+\n", " ", document).splitlines():
            match = COMMAND.search(re.sub(r"-m (benchmarks|space)\.(\w+)", r"\1/\2.py", line))
            if match and match[1] in PARSERS and "..." not in line:
                found.append((match[1], re.split("  #|`", match[2])[0].rstrip(".):; ")))
    return found


@pytest.mark.parametrize(("script", "arguments"), commands())
def test_every_command_that_is_shown_parses(script: str, arguments: str) -> None:
    PARSERS[script](shlex.split(arguments))


def test_enough_commands_are_found() -> None:
    assert {script for script, _ in commands()} == set(PARSERS)


def test_the_tree_that_is_shown_is_this_tree() -> None:
    tree = README.split("## What is where")[1].split("```")[1]
    shown = set(re.findall(r"^([\w./]+)", tree, flags=re.MULTILINE))
    for name in shown:
        assert (ROOT / name).exists(), name
    wings = re.findall(r"^ {4}(\w+)/ ", tree, flags=re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "movie_genres").glob("*/*.py")}
    assert folders <= set(wings)
