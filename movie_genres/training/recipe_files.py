"""Recipes: files of flags of finetune.py, YAML or JSON."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from movie_genres.errors import InputError, one_line
from movie_genres.training.stock_flags import OTHER_NAMES, TAKEN_BEFORE

OTHER_RECIPE = "configs/recipes/base_encoder.yaml"
"""For encoders of BERT's size; the defaults are for the packaged MiniLM."""

_SUFFIXES = (".yaml", ".yml", ".json")


def recipe_file(argv: Sequence[str] | None) -> Path | None:
    """The recipe that a command line of finetune.py begins with, if it does."""
    arguments = sys.argv[1:] if argv is None else argv
    named = bool(arguments) and arguments[0].endswith(_SUFFIXES)
    return Path(arguments[0]) if named else None


def read_recipe(path: Path, known: Sequence[str]) -> list[str]:
    """The flags that a recipe file stands for: a mapping from their names to values.

    Args:
        path: Of the file.
        known: Names of all flags.

    Raises:
        InputError: If the file cannot be read, is no such mapping, or has an unknown key.
    """
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML as well
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"the recipe {path} cannot be read: {one_line(error)}") from None
    if not isinstance(recipe, dict):
        raise InputError(f"the recipe {path} is no list of lines `flag_name: value`")
    arguments = []
    for key, value in recipe.items():
        name = str(key).replace("-", "_")
        if name not in {*known, *TAKEN_BEFORE}:
            raise InputError(
                f"the recipe {path} has the unknown key {key!r}{hint(name, known, repr)}"
            )
        if value is None:
            raise InputError(f"the recipe {path} gives {key} no value; leave it out, or give one")
        values = value if isinstance(value, list) else [value]
        texts = (json.dumps(v) if isinstance(v, dict) else str(v) for v in values)
        arguments += [f"--{name}", *texts]
    return arguments


def as_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def hint(flag: str, known: Sequence[str], show: Callable[[str], str] = as_flag) -> str:
    """What was probably meant by an unknown flag or key: the end of a message.

    Args:
        flag: As it was given.
        known: Names of all flags.
        show: How to write the name of one.
    """
    name = flag.lstrip("-").split("=")[0].replace("-", "_")
    if today := OTHER_NAMES.get(name):
        return f"; today: {today}"
    nearest = next(iter(difflib.get_close_matches(name, known, n=1)), None)
    return f"; did you mean {show(nearest)}?" if nearest else "; see finetune.py --help"
