"""Which column holds what, by name, then by content; rows whose cells do not fit their columns."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Mapping, Sequence

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
    *("original_title", "film", "movie"),
)
_ID_NAMES = ("id", "movie_id", "tmdb_id", "imdb_id", "tconst", "wikipedia_movie_id")

_FUNCTION_WORD = re.compile(r"\b(?:the|a|an|of|and|to|his|her|in)\b", re.IGNORECASE)
_SHORTEST_PLOT = 12
"""Words of the median cell of a column that is a plot by its content."""
_KNOWN_SHARE = 0.5
"""Share of a column's labels that the alias table must list for the column to be genres."""


def find_text_columns(
    found: Sequence[str], text_column: str | None, title_column: str | None
) -> tuple[str, str | None]:
    """The columns of plot and title, as asked for or by their names.

    Raises:
        InputError: If the plot's column is missing or ambiguous.
    """
    text = _asked(found, text_column, "--text-column")
    text = text or _only(found, _named(found, _TEXT_NAMES), "--text-column")
    title = _asked(found, title_column, "--title-column") or _first(found, _TITLE_NAMES)
    return text, title


def field_names(
    found: Sequence[str], text_column: str | None = None, title_column: str | None = None
) -> dict[str, str]:
    """What each column is called in a composition of text fields: `plot`, `title`, or its name.

    Raises:
        InputError: If the plot's column is missing or ambiguous.
    """
    text, title = find_text_columns(found, text_column, title_column)
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
    """Column of id, title, plot and raw_genres; None where there is none (id and title only).

    Args:
        head: The first cells of each column.
        aliases: Labels by which a column of genres is known.

    Raises:
        InputError: If plots or genres are missing or ambiguous; candidates are named.
    """
    found = list(head)
    genres = _asked(found, genre_column, "--genre-column")
    if genres is None:
        named = [c for c in _named(found, _GENRE_NAMES) if any(cell.strip() for cell in head[c])]
        if len(named) != 1:
            # Several names, or none: the columns whose labels are those of genres.
            known = [c for c in named or found if _known_share(head[c], aliases) >= _KNOWN_SHARE]
            named = known or named
        genres = _only(found, named, "--genre-column")
    text = _asked(found, text_column, "--text-column")
    if text is None:
        named = _named(found, _TEXT_NAMES)
        text = _only(found, named or [c for c in found if _is_prose(head[c])], "--text-column")
    title = _asked(found, title_column, "--title-column") or _first(found, _TITLE_NAMES)
    return {"id": _first(found, _ID_NAMES), "title": title, "plot": text, "raw_genres": genres}


def _asked(found: Sequence[str], asked: str | None, flag: str) -> str | None:
    """The column that was asked for; case and blanks are forgiven."""
    if asked is None or asked in found:
        return asked
    alike = [column for column in found if normal_name(column) == normal_name(asked)]
    if len(alike) == 1:
        return alike[0]
    raise InputError(f"{flag} {asked!r} is not a column; found: {', '.join(found)}")


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
    """A column's name without regard to case, blanks and signs."""
    return re.sub(r"[^a-z0-9]+", "_", column.casefold()).strip("_")


def _known_share(cells: Sequence[str], aliases: GenreAliases) -> float:
    """Share of a column's labels that are genres of the alias table."""
    genre_format = detect_genre_format(cells)
    known = total = 0
    for cell in cells:
        try:
            labels = parse_genres(cell, genre_format, aliases)
        except ValueError:
            labels = [cell]
        total += len(labels)
        known += sum(label in aliases for label in labels)
    return known / total if total else 0.0


def _is_prose(cells: Sequence[str]) -> bool:
    """Whether cells are sentences: long, different, with articles and pronouns in them."""
    texts = [cell for cell in cells if cell.strip()]
    if len(texts) < len(cells) / 2 or len(set(texts)) < 0.8 * len(texts):
        return False
    long = statistics.median(len(text.split()) for text in texts) >= _SHORTEST_PLOT
    return long and sum(bool(_FUNCTION_WORD.search(text)) for text in texts) > 0.7 * len(texts)


# Types of columns other than those that are used. A row of which a piece is missing (a stray
# newline broke it in two) has cells in columns where they do not belong.
_KINDS = {
    "number": r"[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?",
    "yes or no": r"(?i:true|false|yes|no|0|1)",
    "date": r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}",
    "list": r"\[[^\0]*\]|\{[^\0]*\}",
    "code": r"[A-Za-z]{2}\d{6,9}|[A-Za-z]{2}|m/[^\0]*",
    "path": r"(?:https?:/)?/[^\0\s]+",
}
_MIN_CELLS = 50
_FITTING = 0.9
_MOST_CHECKED = 6
_BLANKS = 0.05
MISFITS = 3
"""Points from which a row is taken as shifted: two for a cell of another type, one for each of the
last cells that are blank though their columns are hardly ever blank."""


class TypeCheck:
    """Typed columns of a source, learnt from its first rows; says which rows do not fit them.

    Args:
        head: The first cells of each column.
        used: Columns that hold texts or genres, which are checked otherwise.
    """

    def __init__(self, head: Mapping[str, Sequence[str]], used: Sequence[str | None]) -> None:
        kinds = {c: _kind(cells) for c, cells in head.items() if c and c not in used}
        typed = [column for column, kind in kinds.items() if kind]
        # Spread over the width: a broken row fits up to the break or from it on.
        step = max(1, (len(typed) - 1) / (_MOST_CHECKED - 1)) if len(typed) > 1 else 1
        chosen = dict.fromkeys(
            typed[round(i * step)] for i in range(min(len(typed), _MOST_CHECKED))
        )
        self.columns = list(chosen)
        self._patterns = [re.compile(_KINDS[kinds[column] or ""]) for column in self.columns]
        # One pattern for a whole row that fits: by far the commonest, and six times faster.
        self._all = re.compile("\0".join(f"(?:{_KINDS[kinds[c] or '']})" for c in self.columns))
        self._never_blank = [
            sum(not cell for cell in head[column]) < _BLANKS * len(head[column])
            for column in self.columns
        ]

    def misfit(self, cells: Sequence[str]) -> str:
        """What does not fit, in words; blank if the row may be whole.

        Args:
            cells: Those of `columns`, in their order.
        """
        if self._all.fullmatch("\0".join(cells)):
            return ""
        wrong = [
            bool(cell) and not pattern.fullmatch(cell)
            for cell, pattern in zip(cells, self._patterns, strict=True)
        ]
        cut = len(cells)
        while cut and not cells[cut - 1] and self._never_blank[cut - 1]:
            cut -= 1
        if 2 * sum(wrong) + len(cells) - cut < MISFITS:
            return ""
        odd = [*itertools.compress(range(cut), wrong), *range(cut, len(cells))]
        return ", ".join(f"{self.columns[index]}={cells[index][:30]!r}" for index in odd)


def _kind(cells: Sequence[str]) -> str | None:
    filled = [cell for cell in cells if cell]
    if len(filled) < _MIN_CELLS:
        return None
    most_misfits = len(filled) - _FITTING * len(filled)
    for kind, pattern in _KINDS.items():
        fits = re.compile(pattern).fullmatch
        # Most columns are of no kind, which shows after a few cells.
        misfits = (cell for cell in filled if not fits(cell))
        if sum(1 for _ in itertools.islice(misfits, int(most_misfits) + 1)) <= most_misfits:
            return kind
    return None
