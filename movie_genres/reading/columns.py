"""Which column holds what: by its name, then by its content."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from movie_genres.errors import InputError
from movie_genres.reading.genres import GenreAliases, detect_genre_format, parse_genres

TITLE, PLOT = "title", "plot"
"""What these two are called in a composition of text fields, whatever their columns are."""

_TEXT_NAMES = (
    *("plot", "overview", "description", "synopsis", "storyline", "summary", "movie_info"),
    *("extract", "plot_summary", "plot_synopsis", "movie_plot", "movie_overview"),
    *("movie_description", "story_line"),
)
_GENRE_NAMES = (
    *("genres", "genre", "category", "categories", "listed_in", "genre_names", "movie_genres"),
    *("movie_genre", "genre_s"),
)
_TITLE_NAMES = (
    *("title", "movie_title", "film_title", "series_title", "movie_name", "film_name", "name"),
    *("primary_title", "original_title", "film", "movie"),
)
_ID_NAMES = ("id", "movie_id", "tmdb_id", "imdb_id", "tconst", "wikipedia_movie_id")

_ABBREVIATIONS = {"IMDb": "Imdb", "TMDb": "Tmdb", "OMDb": "Omdb", "IDs": "Ids"}
"""As they are written, and so that their letters stay together where camel case is split."""
_FUNCTION_WORD = re.compile(r"\b(?:the|a|an|of|and|to|his|her|in)\b", re.IGNORECASE)
_SHORTEST_PLOT = 12
"""Words of the median cell, from which a column may be plots by its content."""
_KNOWN_SHARE = 0.5
"""Share of a column's labels that the alias table must list for the column to be genres."""


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
    aliases: GenreAliases,
    *,
    text_column: str | None,
    genre_column: str | None,
    title_column: str | None,
) -> dict[str, str | None]:
    """Columns of id, title, plot and raw_genres; None for an id or a title that is missing.

    Args:
        head: The first cells of each column.
        aliases: Their labels identify a column of genres.

    Raises:
        InputError: If plots or genres are missing or ambiguous; candidates are named.
    """
    found = list(head)
    genres = _requested(found, genre_column, "--genre-column")
    if genres is None:
        named = [c for c in _named(found, _GENRE_NAMES) if any(cell.strip() for cell in head[c])]
        if len(named) != 1:
            # Several names, or none: the columns whose labels are those of genres.
            by_labels = [
                c for c in named or found if _known_share(head[c], aliases) >= _KNOWN_SHARE
            ]
            named = by_labels or named
        genres = _only(found, named, "--genre-column")
    text, title = _find_texts(found, text_column, title_column, lambda: head)
    if genres in (text, title):
        raise InputError(f"the column {genres!r} cannot be both the genres and the text")
    return {"id": find_id(head), "title": title, "plot": text, "raw_genres": genres}


def find_id(head: Mapping[str, Sequence[str]]) -> str | None:
    """The column of ids, by its name."""
    return _first(list(head), _ID_NAMES)


def _find_texts(
    found: Sequence[str],
    text_column: str | None,
    title_column: str | None,
    read_head: Callable[[], Mapping[str, Sequence[str]]] | None = None,
) -> tuple[str, str | None]:
    """The columns of plot and title; plots are looked for in the first cells if no name says it."""
    text = _requested(found, text_column, "--text-column")
    if text is None:
        candidates = _named(found, _TEXT_NAMES)
        if not candidates and read_head is not None:
            head = read_head()
            candidates = [column for column in found if _is_prose(head[column])]
        text = _only(found, candidates, "--text-column")
    title = _requested(found, title_column, "--title-column") or _first(found, _TITLE_NAMES)
    return text, title


def _requested(found: Sequence[str], column: str | None, flag: str) -> str | None:
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


def _known_share(cells: Sequence[str], aliases: GenreAliases) -> float:
    """Share of a column's labels that are genres of the alias table."""
    genre_format = detect_genre_format(cells)
    listed = total = 0
    for cell in cells:
        try:
            labels = parse_genres(cell, genre_format, aliases)
        except ValueError:
            labels = [cell]
        total += len(labels)
        listed += sum(label in aliases for label in labels)
    return listed / total if total else 0.0


def _is_prose(cells: Sequence[str]) -> bool:
    """Whether cells are sentences: long, different, with articles and pronouns in them."""
    texts = [cell for cell in cells if cell.strip()]
    if len(texts) < len(cells) / 2 or len(set(texts)) < 0.8 * len(texts):
        return False
    long = statistics.median(len(text.split()) for text in texts) >= _SHORTEST_PLOT
    return long and sum(bool(_FUNCTION_WORD.search(text)) for text in texts) > 0.7 * len(texts)
