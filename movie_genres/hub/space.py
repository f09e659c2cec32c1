"""The demo page as it is uploaded: the files of space/, its model's name, and part of this package.

With the modules that prediction needs, the page cleans texts and decides by the code of predict.py.
"""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData

PACKAGE = Path(__file__).parents[1]
SPACE = PACKAGE.parent / "space"
WINGS = ("reading", "preparation", "model", "decisions", "inference")
"""Of the package, what prediction needs beside the modules that all wings share."""
SPACE_FILES = (
    "README.md",
    "app.py",
    "requirements.txt",
    "LICENSE",
    "movie_genres/*.py",
    *(f"movie_genres/{wing}/*.py" for wing in WINGS),
)
"""The files of a Space, as patterns of paths in its repository."""


def stage_space(model_id: str, folder: Path) -> None:
    """Write the files of a model's Space.

    Args:
        model_id: Hub id, such as "you/movie-genres".
        folder: Is created.
    """
    (folder / PACKAGE.name).mkdir(parents=True)
    for path in (SPACE / "app.py", SPACE / "requirements.txt", SPACE.parent / "LICENSE"):
        shutil.copyfile(path, folder / path.name)
    modules = [PACKAGE.glob("*.py"), *((PACKAGE / wing).glob("*.py") for wing in WINGS)]
    for path in chain.from_iterable(modules):
        copy = folder / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
    card = SpaceCard((SPACE / "README.md").read_text(encoding="utf-8"))
    card.data = SpaceCardData(**card.data.to_dict() | {"models": [model_id]})
    (folder / "README.md").write_text(str(card), encoding="utf-8")
