"""How the fields of a film become the one text that a model reads: in preparation and in use alike.

The composition is stored in report.json of a prepared folder and in config.json of a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from movie_genres.errors import InputError
from movie_genres.genres.cells import GenreFormat, parse_genres
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.texts.text import as_text, clean_text, compose_text

MASK = "___"
"""Replaces the name of a genre."""


@dataclass(frozen=True)
class TextFields:
    """Fields in their order, and names that are masked in all of them.

    `title` and `plot` are used as they are; any other field follows its name: `Tagline: ...`.
    """

    names: tuple[str, ...] = (TITLE, PLOT)
    masked: tuple[str, ...] = ()
    """Genre names that are replaced by `MASK`, whatever their case."""

    def compose(self, values: Mapping[str, str]) -> str:
        """One text of clean values; fields without a value are left out."""
        if self == DEFAULT_FIELDS:
            return compose_text(values.get(TITLE, ""), values.get(PLOT, ""))
        parts = []
        for name in self.names:
            value = values.get(name, "")
            if value and name == TITLE:
                parts.append(f"{value}.")
            elif value and name == PLOT:
                parts.append(value)
            elif value:
                parts.append(f"{name.replace('_', ' ').capitalize()}: {value}")
        text = " ".join(
            part if last or part[-1] in ".!?…\"'" else f"{part}."
            for part, last in ((part, part is parts[-1]) for part in parts)
        )
        return mask_names(text, self.masked) if self.masked else text

    @property
    def is_title_and_plot(self) -> bool:
        """Whether the text is the title and the plot, so that `without_title` gives the plot."""
        return self.names in ((TITLE, PLOT), (PLOT,))

    def without_title(self, text: str, title: str) -> str:
        """The plot of a text of title and plot.

        Args:
            text: What `compose` gave.
            title: The clean title it was given.
        """
        if not title or TITLE not in self.names:
            return text
        return text.removeprefix(self.compose({TITLE: title, PLOT: "x"}).removesuffix("x"))

    def clean(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Values as `compose` expects them: clean text, lists as `a, b, c`."""
        return {
            name: clean_text(as_text(values.get(name)))
            if name in (TITLE, PLOT)
            else flatten(values.get(name))
            for name in self.names
        }

    def to_json(self) -> dict[str, list[str]]:
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Any, where: str) -> TextFields:
        """Read what `to_json` gave; None is title and plot.

        Raises:
            InputError: If it is something else.
        """
        if stored is None:
            return DEFAULT_FIELDS
        lists: list[tuple[str, ...]] = []
        for key in ("names", "masked"):
            part = stored.get(key) if isinstance(stored, dict) else None
            if not isinstance(part, list) or not all(isinstance(name, str) for name in part):
                raise InputError(f"the text fields in {where} are none that this project wrote")
            lists.append(tuple(part))
        return cls(*lists)


DEFAULT_FIELDS = TextFields()


def flatten(value: Any) -> str:
    """A cell, or a list of names or of objects with `name`, as clean text: `a, b, c`."""
    if isinstance(value, list | tuple):
        items = [item.get("name", "") if isinstance(item, Mapping) else item for item in value]
        return ", ".join(text for text in (clean_text(str(item)) for item in items) if text)
    text = "" if value is None else str(value).strip()
    if text[:1] in ("[", "{"):
        try:
            return flatten(parse_genres(text, GenreFormat.LITERAL))
        except ValueError:
            return clean_text(text)
    return flatten(text.split("|")) if "|" in text else clean_text(text)


@lru_cache(maxsize=8)
def _names_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)


def mask_names(text: str, names: tuple[str, ...]) -> str:
    """The text with every whole-word occurrence of a name replaced by `MASK`."""
    return _names_pattern(names).sub(MASK, text) if names else text


def named_genres(text: str, names: Iterable[str]) -> set[str]:
    """Which of these names the text contains as whole words, in lower case."""
    pattern = _names_pattern(tuple(names))
    return {match.casefold() for match in pattern.findall(text)}
