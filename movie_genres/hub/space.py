"""The demo page as it is uploaded: the files of space/, its model's name, and this package.

The package goes along so that the page cleans, reads and decides by the same code as predict.py;
a rule written out again in the page could come to differ from it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData

PACKAGE = Path(__file__).parents[1]
SPACE = PACKAGE.parent / "space"
SPACE_FILES = (
    "README.md",
    "app.py",
    "requirements.txt",
    "LICENSE",
    "movie_genres/*.py",
    "movie_genres/*/*.py",
)
"""What a Space consists of, as patterns of paths in its repository."""


def stage_space(model_id: str, folder: Path) -> None:
    """Write the Space of a model.

    Args:
        model_id: On the Hub: "you/movie-genres".
        folder: To make.
    """
    (folder / PACKAGE.name).mkdir(parents=True)
    for path in (SPACE / "app.py", SPACE / "requirements.txt", SPACE.parent / "LICENSE"):
        shutil.copyfile(path, folder / path.name)
    for path in PACKAGE.glob("**/*.py"):
        copy = folder / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
    card = SpaceCard((SPACE / "README.md").read_text(encoding="utf-8"))
    card.data = SpaceCardData(**card.data.to_dict() | {"models": [model_id]})
    (folder / "README.md").write_text(str(card), encoding="utf-8")
