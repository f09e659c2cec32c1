"""The demo page as it is uploaded: the files of space/, its model's name, and part of this package.

Before it is published, its files answer for a film, in a process that has none of the project.
With the modules that prediction needs, the page cleans texts and decides by the code of predict.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData

from movie_genres.errors import one_line

PACKAGE = Path(__file__).parents[1]
SPACE = PACKAGE.parent / "space"
WINGS = ("genres", "reading", "texts", "model", "decisions", "inference")
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


_ANSWER = """
import json, sys
import app

model = sys.argv[1]
if app.gr is not None:
    app.gr.Blocks.launch = lambda *args, **kwargs: None  # build the page, without a server
    app.main(["--model", model])
answer = app.answer(app.GenreClassifier.from_pretrained(model), *app.EXAMPLES[0])
print(json.dumps([app.parse_args([]).model, *answer]))
"""


def check_page(folder: Path, model: Path, model_id: str) -> list[str]:
    """Start the page of a folder, without a server, and have it answer for its first example.

    The page itself is only built where gradio is installed.

    Args:
        folder: What `stage_space` wrote.
        model: Folder of the model, which the Hub gives the page under `model_id`.

    Returns:
        What is wrong, a sentence for each thing.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # -B: no compiled modules among the files to upload.
    done = subprocess.run(
        [sys.executable, "-B", "-c", _ANSWER, str(model.resolve())],
        cwd=folder, env=environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [f"the page does not start: {one_line(last)}"]
    named, bars, explanation = json.loads(done.stdout.splitlines()[-1])
    found = [] if named == model_id else [f"the page loads {named}, not {model_id}"]
    return found if bars and explanation else [*found, "the page has no answer for its example"]
