"""Which column holds titles and plots: by its name, then by its content."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from movie_genres.errors import InputError
from movie_genres.reading.identity import find_id
from movie_genres.reading.records import OWN_SPLIT

TITLE, PLOT = "title", "plot"
"""What these two are called in a composition of text fields, whatever their columns are."""

_TEXT_NAMES = (
    *("plot", "overview", "description", "synopsis", "storyline", "summary", "movie_info"),
    *("extract", "plot_summary", "plot_synopsis", "movie_plot", "movie_overview"),
    *("movie_description", "story_line"),
)
_TITLE_NAMES = (
    *("title", "movie_title", "film_title", "series_title", "movie_name", "film_name", "name"),
    *("primary_title", "original_title", "film", "movie"),
)

_FUNCTION_WORD = re.compile(r"\b(?:the|a|an|of|and|to|his|her|in)\b", re.IGNORECASE)
_SHORTEST_PLOT = 12
"""Words of the median cell, from which a column may be plots by its content."""
_ABBREVIATIONS = {"IMDb": "Imdb", "TMDb": "Tmdb", "OMDb": "Omdb", "IDs": "Ids"}
"""As they are written, and so that their letters stay together where camel case is split."""


def field_names(
    found: Sequence[str],
    text_column: str | None = None,
    title_column: str | None = None,
    read_head: Callable[[], Mapping[str, Sequence[str]]] | None = None,
) -> dict[str, str]:
    """What each column is called in a composition of text fields: `plot`, `title`, or its name.

    Args:
        found: The columns.
        text_column: That of the plots; None: found by its name, or else by its content.
        title_column: That of the titles; None: found by its name.
        read_head: Gives the first cells of each column; None: no column is found by its content.

    Raises:
        InputError: If the plot's column is missing or ambiguous.
    """
    text, title = _find_texts(found, text_column, title_column, read_head)
    names = {column: normal_name(column) for column in found}
    for column, name in names.items():
        if name in (TITLE, PLOT):
            names[column] = f"other_{name}"  # unless it is the one that was chosen
    return names | ({title: TITLE} if title else {}) | {text: PLOT}


def find_columns(
    head: Mapping[str, Sequence[str]],
    *,
    text_column: str | None,
    genre_column: str,
    title_column: str | None,
    id_column: str | None = None,
) -> dict[str, str | None]:
    """Columns of id, title, plot and raw_genres; None for an id or a title that is missing.

    Args:
        head: The first cells of each column.
        genre_column: As `find_genre_columns` gives it.

    Raises:
        InputError: If plots are missing or ambiguous; candidates are named.
    """
    found = list(head)
    text, title = _find_texts(found, text_column, title_column, lambda: head)
    if genre_column in (text, title):
        raise InputError(f"the column {genre_column!r} cannot be both the genres and the text")
    identifier = requested_column(found, id_column, "--id-column") or find_id(head)
    return {"id": identifier, "title": title, "plot": text, "raw_genres": genre_column}


def find_split(
    head: Mapping[str, Sequence[str]], split_column: str | None, *, keep_splits: bool
) -> str | None:
    """The column of the splits that the user wants kept.

    Raises:
        InputError: If the requested column is missing.
    """
    if keep_splits and OWN_SPLIT in head:
        return OWN_SPLIT
    return requested_column(list(head), split_column, "--split-column")


def _find_texts(
    found: Sequence[str],
    text_column: str | None,
    title_column: str | None,
    read_head: Callable[[], Mapping[str, Sequence[str]]] | None = None,
) -> tuple[str, str | None]:
    """The columns of plot and title; plots are looked for in the first cells if no name says it."""
    text = requested_column(found, text_column, "--text-column")
    if text is None:
        candidates = _named(found, _TEXT_NAMES)
        if not candidates and read_head is not None:
            head = read_head()
            candidates = [c for c in found if c in head and _is_prose(head[c])]
        text = _only(found, candidates, "--text-column")
    title = requested_column(found, title_column, "--title-column") or _first(found, _TITLE_NAMES)
    return text, title


def requested_column(found: Sequence[str], column: str | None, flag: str) -> str | None:
    """The column that a flag names, whatever its case, whitespace and punctuation."""
    if column is None or column in found:
        return column
    alike = [name for name in found if normal_name(name) == normal_name(column)]
    if len(alike) == 1:
        return alike[0]
    raise InputError(f"{flag} {column!r} is not a column; found: {', '.join(found)}")


def _only(found: Sequence[str], candidates: Sequence[str], flag: str) -> str:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InputError(f"several columns could be meant: {', '.join(candidates)}; set {flag}")
    raise InputError(f"no column found for {flag}; set it to one of: {', '.join(found)}")


def _named(found: Sequence[str], names: Sequence[str]) -> list[str]:
    return [column for column in found if normal_name(column) in names]


def _first(found: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {normal_name(column): column for column in reversed(found)}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_prose(cells: Sequence[str]) -> bool:
    """Whether cells are sentences: long, different, with articles and pronouns in them."""
    texts = [cell for cell in cells if cell.strip()]
    if len(texts) < len(cells) / 2 or len(set(texts)) < 0.8 * len(texts):
        return False
    long = statistics.median(len(text.split()) for text in texts) >= _SHORTEST_PLOT
    return long and sum(bool(_FUNCTION_WORD.search(text)) for text in texts) > 0.7 * len(texts)


def normal_name(column: str) -> str:
    """A column's name in lower case, with `_` between its words, whatever its script.

    Words are separated by whitespace, punctuation, camel case and a number: `Plot Summary`,
    `plotSummary` and `PLOT-SUMMARY` are `plot_summary`, `imdbID` is `imdb_id`, `Genre1` `genre_1`.
    A name without any letter or digit stays as it is.
    """
    written = unicodedata.normalize("NFC", column)
    for abbreviation, together in _ABBREVIATIONS.items():
        written = written.replace(abbreviation, together)
    around = zip(f" {written}", written, f"{written[1:]} ", strict=False)
    split = "".join("_" * _begins_word(*three) + three[1] for three in around)
    lower = unicodedata.normalize("NFC", split.casefold())
    words = "".join(c if _is_of_a_word(c) else " " for c in lower).split()
    return "_".join(words) or lower.strip()


def _is_of_a_word(character: str) -> bool:
    """Whether it is a letter, a digit or a mark on one, such as the vowels of Hindi and Thai."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _begins_word(before: str, this: str, after: str) -> bool:
    """Whether a word begins inside a name without a separator: `plotSummary`, `DVDTitle`."""
    if this.isupper():
        return before.islower() or (before.isupper() and after.islower())
    return this.isdigit() and before.isalpha()
