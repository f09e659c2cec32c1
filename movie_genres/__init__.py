"""Movie metadata to a published multi-label genre model: what the commands are made of.

Importing the package imports nothing else; the names in `__all__` are loaded when they are used.
The wings are listed in README.md, "What is where".
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from movie_genres.errors import InputError
    from movie_genres.inference.classifier import GenreClassifier, Prediction
    from movie_genres.preparation.loading import Prepared, load_prepared

__version__ = "0.1.0"
__all__ = ["GenreClassifier", "InputError", "Prediction", "Prepared", "load_prepared"]

_MODULES = {
    "GenreClassifier": "movie_genres.inference.classifier",
    "InputError": "movie_genres.errors",
    "Prediction": "movie_genres.inference.classifier",
    "Prepared": "movie_genres.preparation.loading",
    "load_prepared": "movie_genres.preparation.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # so that it is looked up here once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
