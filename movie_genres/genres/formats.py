"""How a column writes several genres in one cell, found out from its cells."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from movie_genres.genres.aliases import GenreAliases, label_key
from movie_genres.genres.cells import (
    BOUNDARY,
    EDGES,
    NEVER_IN_A_NAME,
    SEPARATORS,
    GenreFormat,
    known_units,
    parse_genres,
    split_known,
    unescaped,
)
from movie_genres.genres.literals import is_literal

_SLIP = 0.05
"""A separator in a smaller share of the rows with several genres is taken for a slip."""
_COMPARED = 2000
"""The most different cells that a format is found from, the commonest ones."""
_MOST_WORDS = 12
"""Words of the longest cell that is split by blanks."""


def detect_genre_format(values: Iterable[str], aliases: GenreAliases | None = None) -> GenreFormat:
    """Decide a column's format by what most of its values look like; empty ones do not count.

    Args:
        values: Cells.
        aliases: The genres it lists say what is a name and what is several.
    """
    counts = Counter(value.strip() for value in values)
    counts.pop("", None)
    counts = Counter(dict(counts.most_common(_COMPARED)))
    half = counts.total() / 2
    if sum(n for value, n in counts.items() if is_literal(value)) > half:
        return GenreFormat.LITERAL
    quoted = (n for v, n in counts.items() if len(v) > 1 and v[0] == v[-1] and v[0] in "'\"")
    if sum(quoted) > half:
        return GenreFormat.QUOTED
    cells: Counter[str] = Counter()
    for value, number in counts.items():
        value = unescaped(value)
        if aliases is None or value not in aliases:  # a name that holds a separator says nothing
            cells[value] += number
    return _separator(cells, _Evidence(counts, aliases), aliases)


def _separator(
    cells: Counter[str], evidence: _Evidence, aliases: GenreAliases | None
) -> GenreFormat:
    rows = {
        name: sum(n for cell, n in cells.items() if separator.search(cell))
        for name, separator in SEPARATORS.items()
    }
    several = sum(
        n for cell, n in cells.items() if any(s.search(cell) for s in SEPARATORS.values())
    )
    found = [name for name, n in rows.items() if n and n >= _SLIP * several]
    # A hyphen or an ampersand is part of a name unless its pieces are names elsewhere too.
    for name in (GenreFormat.DASH, GenreFormat.AMPERSAND):
        if name in found and not evidence.separates(SEPARATORS[name], 0.8):
            found.remove(name)
    by_blanks = {cell: n for cell, n in cells.items() if len(cell.split()) > 1}
    if not found or sum(by_blanks.values()) > 2 * max(rows[name] for name in found):
        if evidence.blanks_separate(by_blanks):
            return GenreFormat.BLANK
        if not found:
            return GenreFormat.COMMA
    # "Arts|Crime, Law": a pipe is never part of a name, a comma may be. So the pipe decides before
    # the comma does, unless there are more commas, and what they separate are names elsewhere too.
    best = found[0]
    for name in found[1:]:
        if rows[name] > rows[best] and evidence.separates(SEPARATORS[name], 0.5):
            best = name
    return best


class _Evidence:
    """What a column's cells say about a separator: do its pieces occur in other company too?"""

    def __init__(self, cells: Mapping[str, int], aliases: GenreAliases | None) -> None:
        self._aliases = aliases
        self._parts: Counter[str] = Counter()
        for cell, number in cells.items():
            lines = SEPARATORS[GenreFormat.LINE].sub("|", unescaped(cell))
            for part in NEVER_IN_A_NAME.split(lines):
                if part := part.strip(EDGES):
                    self._parts[part] += number

    def _is_known(self, label: str) -> bool:
        return self._aliases is not None and label in self._aliases

    def separates(self, separator: re.Pattern[str], least: float) -> bool:
        """Whether in this share of the rows all pieces are known, or are pieces of others too."""
        pieces = {part: [p.strip() for p in separator.split(part)] for part in self._parts}
        company = Counter(piece for found in pieces.values() for piece in set(found))
        total = good = 0
        for part, found in pieces.items():
            if len(found) > 1 and not self._is_known(part):
                total += self._parts[part]
                if all(company[piece] > 1 or self._is_known(piece) for piece in found):
                    good += self._parts[part]
        return bool(total) and good >= least * total

    def blanks_separate(self, cells: Mapping[str, int]) -> bool:
        """Whether cells are known names side by side, or a few names in many combinations."""
        total = sum(cells.values())
        if total < _SLIP * self._parts.total():
            return False
        if self._aliases is not None:
            known = sum(n for c, n in cells.items() if split_known(c, self._aliases))
            if known >= total / 2:
                return True
        if not all(len(part.split()) <= _MOST_WORDS for part in self._parts):
            return False
        names = names_between_blanks(self._parts, self._aliases)
        return 2 * len(names) <= len(self._parts) and len(self._parts) > 3


def names_between_blanks(cells: Mapping[str, int], aliases: GenreAliases | None) -> set[str]:
    """Names of a column that separates them by blanks: words that also occur with other words.

    Two words that occur side by side nearly always are one name.
    """
    rows = [(known_units(cell, aliases), number) for cell, number in cells.items()]
    for _ in range(2):  # names of up to four words
        units: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for row, number in rows:
            for unit in row:
                units[unit] += number
            for pair in itertools.pairwise(row):
                pairs[pair] += number
        joined = {
            (a, b)
            for (a, b), number in pairs.items()
            if number >= 3
            and number >= 0.9 * max(units[a], units[b])
            and not (aliases is not None and (a in aliases or b in aliases))
        }
        rows = [(_joined(row, joined), number) for row, number in rows]
    return {unit for row, _ in rows for unit in row}


def _joined(row: list[str], pairs: set[tuple[str, str]]) -> list[str]:
    units: list[str] = []
    last = ""
    for unit in row:
        if (last, unit) in pairs:
            units[-1] = f"{units[-1]} {unit}"
            last = ""
        else:
            units.append(unit)
            last = unit
    return units


def names_of_column(
    values: Iterable[str], genre_format: GenreFormat, aliases: GenreAliases
) -> frozenset[str]:
    """Names in a column that the table does not list and that are no combinations of others.

    They say how rows are to be read that separate their genres in another way than the others.
    """
    counts = Counter(value.strip() for value in values)
    counts.pop("", None)
    if genre_format is GenreFormat.BLANK:
        return frozenset(names_between_blanks(counts, aliases))
    labels: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for value, number in counts.items():
        try:
            found = parse_genres(value, genre_format, aliases)
        except ValueError:
            continue
        for label in found:
            if not aliases.lists(label):
                labels[spelling.setdefault(label_key(label), label)] += number
    names: frozenset[str] = frozenset()
    known = aliases
    by_words = sorted((label for label, n in labels.items() if n > 1), key=_words)
    for words in sorted({_words(label) for label in by_words}):
        new = [n for n in by_words if _words(n) == words and not split_known(n, known)]
        names |= frozenset(new)
        known = aliases.with_seen(names)
    return names


def _words(label: str) -> int:
    return len(BOUNDARY.split(label))
