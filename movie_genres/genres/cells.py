"""One cell of genres -> raw labels, by the format of its column."""

from __future__ import annotations

import html
import re
from enum import StrEnum

from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.literals import is_literal, literal_labels


class GenreFormat(StrEnum):
    """How one column writes its genres; decided once per column, never per row."""

    LITERAL = "literal"
    """What programs write: a list of strings, of objects with `name`, {id: name}, TMDB's ids."""
    QUOTED = "quoted"
    """`"Thriller",  "Horror"`."""
    LINE = "line"
    """Line ends, or tabs."""
    PIPE = "pipe"
    SEMICOLON = "semicolon"
    DOT = "dot"
    """`Action · Thriller`, `Action • Thriller`."""
    COMMA = "comma"
    """`Action, Thriller`; one label a row is this too."""
    SLASH = "slash"
    PLUS = "plus"
    DASH = "dash"
    """` - `; a hyphen without blanks is part of a name."""
    AMPERSAND = "ampersand"
    BLANK = "blank"
    """`Action Science Fiction`: names are those of the alias table, or of the column."""


SEPARATORS = {
    GenreFormat.LINE: re.compile(r"[\n\r\t]|<br\s*/?>"),
    GenreFormat.PIPE: re.compile("[|｜¦]"),
    GenreFormat.SEMICOLON: re.compile("[;；]"),
    GenreFormat.DOT: re.compile("[•∙‧]|(?<!l)·|·(?!l)"),
    GenreFormat.COMMA: re.compile("[,，、،]"),
    GenreFormat.SLASH: re.compile(r"[/／\\]"),
    GenreFormat.PLUS: re.compile("[+＋]"),
    GenreFormat.DASH: re.compile(r"\s[-\N{EN DASH}\N{EM DASH}]\s"),
    GenreFormat.AMPERSAND: re.compile(r"\s&\s"),
}
"""From the one that is least often part of a name to the one that is most often."""
NEVER_IN_A_NAME = re.compile(r"[|｜¦;；•∙‧]|(?<!l)·|·(?!l)")  # Catalan: col·lega
BOUNDARY = re.compile(
    r"(\s*[,，、،/／\\+＋:&#]\s*|\s+(?:and|und|et|y|и|[-\N{EN DASH}\N{EM DASH}])\s+|-|\s+)",
    re.IGNORECASE,
)
"""Where one name may end and the next begin, if both are known."""
_UNCERTAIN = re.compile(
    r"\s+(?:(?:and|und|et|y|и|&|[-\N{EN DASH}\N{EM DASH}])\s+)?|-", re.IGNORECASE
)
EDGES = " #,:;|/·•\t\r\n\x0b\x0c"
_MOST_PARTS = 15
"""Words, and what separates them, of the longest name that is looked for."""
_LONGEST = 60
"""Words, and what separates them, of the longest label that is looked through."""
_QUOTED_LABEL = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_DIGITS = frozenset("0123456789")
_CONNECTIVES = frozenset({"and", "&", "-", "\N{EN DASH}", "\N{EM DASH}"})
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:\s+[+-]?\d+(?:\.\d+)?)*")


def parse_genres(
    value: str, genre_format: GenreFormat, aliases: GenreAliases | None = None
) -> list[str]:
    """Raw labels of one row, stripped, in their order, without empty ones or repeats.

    Args:
        value: The cell.
        genre_format: How its column is written.
        aliases: A label that this table lists is kept whole, also where it holds the separator
            ("Arts, Entertainment, and Culture"). One that it does not list and that is several
            known ones side by side, whatever separates them, is those.

    Raises:
        ValueError: If the value is not of the format (an empty value is no labels, not an error).
    """
    return read_cell(value, genre_format, aliases)[0]


def read_cell(
    value: str, genre_format: GenreFormat, aliases: GenreAliases | None
) -> tuple[list[str], list[str]]:
    """As `parse_genres`; and which labels were split though only blanks or hyphens separated them.

    Raises:
        ValueError: As `parse_genres`.
    """
    value = value.strip()
    if not value:
        return [], []
    found = [unescaped(label).strip() for label in _labels(value, genre_format, aliases)]
    split: list[str] = []
    if aliases is not None:
        apart = []
        for label in found:
            pieces, uncertain = _known_apart(label, aliases)
            apart += pieces
            split += uncertain
        found = [_checked_number(label, aliases) for label in apart]
        if genre_format is GenreFormat.BLANK:
            split = []
    labels = list(dict.fromkeys(label for label in found if label))
    if any("\ud800" <= character <= "\udfff" for label in labels for character in label):
        raise ValueError(f"half a character in a genre's name: {value[:80]!r}")
    return labels, split


def _labels(value: str, genre_format: GenreFormat, aliases: GenreAliases | None) -> list[str]:
    if genre_format is GenreFormat.LITERAL:
        if aliases is not None and not is_literal(value) and aliases.drops(value):
            return [value]  # "nan" among lists: no genres
        return literal_labels(value)
    if genre_format is GenreFormat.QUOTED:
        if re.sub(r"[\s,]+", "", _QUOTED_LABEL.sub("", value)):
            raise ValueError(f"not a list of quoted names: {value[:80]!r}")
        return [double or single for double, single in _QUOTED_LABEL.findall(value)]
    if value[0] in "[{":
        raise ValueError(f"a list among names: {value[:80]!r}")
    value = unescaped(value)
    if genre_format is GenreFormat.BLANK:
        return _between_blanks(value, aliases)
    parts = re.split(f"({SEPARATORS[genre_format].pattern})", value)
    if aliases is not None and len(parts) > 1 and genre_format is not GenreFormat.LINE:
        return _join_known(parts, aliases)
    return parts[::2]


def _join_known(parts: list[str], aliases: GenreAliases) -> list[str]:
    """Undo the separation inside labels that the table lists, the longest first.

    Args:
        parts: Labels, and between any two of them their separator.
    """
    joined, start = [], 0
    while start < len(parts):
        for end in range(min(len(parts), start + _MOST_PARTS), start, -2):
            label = "".join(parts[start:end])
            if end == start + 1 or aliases.lists_exactly(label):
                break
        joined.append(label)
        start = end + 1
    return joined


def _between_blanks(value: str, aliases: GenreAliases | None) -> list[str]:
    labels: list[str] = []
    for part in re.split(r"[,，、،|;/]", value):
        labels += known_units(part, aliases)
    return labels


def _known_apart(label: str, aliases: GenreAliases) -> tuple[list[str], list[str]]:
    """A label, or the known ones that it is made of; and those that were split uncertainly."""
    if label in aliases:
        return [label], []
    apart: list[str] = []
    uncertain: list[str] = []
    for part in NEVER_IN_A_NAME.split(label):
        part = part.strip(EDGES)
        known = [] if part in aliases else split_known(part, aliases)
        apart += [name for name, _ in known] or [part]
        if any(_UNCERTAIN.fullmatch(before) for _, before in known[1:]) and part[0] not in _DIGITS:
            uncertain.append(part)
    return apart, uncertain


def split_known(text: str, aliases: GenreAliases) -> list[tuple[str, str]]:
    """The known names that a text is made of, the longest first; empty if it is not.

    Returns:
        Each name with what separates it from the one before.
    """
    parts = BOUNDARY.split(text)
    if not 3 <= len(parts) <= _LONGEST:
        return []
    hopeless: set[int] = set()

    def split_from(start: int) -> list[tuple[str, str]] | None:
        if start >= len(parts):
            return []
        if start in hopeless:
            return None
        for end in range(min(len(parts), start + _MOST_PARTS), start, -2):
            name = "".join(parts[start:end])
            if name in aliases:
                rest = split_from(end + 1)
                if rest is not None:
                    return [(name, parts[start - 1] if start else ""), *rest]
        hopeless.add(start)
        return None

    return split_from(0) or []


def _checked_number(label: str, aliases: GenreAliases) -> str:
    """Raises: ValueError: If a label is a number, such as an id, that the table does not list."""
    if not _NUMBER.fullmatch(label):
        return label
    number = re.sub(r"\.0+$", "", label)
    if label in aliases or number in aliases:
        return label if label in aliases else number
    raise ValueError(f"a number that the alias table does not list: {label[:80]!r}")


def unescaped(text: str) -> str:
    """`Action & Adventure` for `Action &amp; Adventure`, also where it was escaped twice."""
    if "&" not in text:
        return text
    return html.unescape(html.unescape(text)) if re.search(r"&#?\w+;", text) else text


def known_units(cell: str, aliases: GenreAliases | None) -> list[str]:
    """Known names, the longest first, and the words between them."""
    words = cell.split()
    units: list[str] = []
    start = 0
    while start < len(words):
        for end in range(min(start + 5, len(words)), start, -1):
            unit = " ".join(words[start:end])
            if end == start + 1 or (aliases is not None and unit in aliases):
                break
        # The table may list "Family Drama" as one label; between blanks these are two genres.
        two = split_known(unit, aliases.plain) if aliases is not None and end > start + 1 else []
        units += [name for name, _ in two] or [unit.strip(EDGES)]
        start = end
    names = [unit for unit in units if unit and unit.casefold() not in _CONNECTIVES]
    return names or units
