"""Names of columns as people write them, so that they can be compared."""

from __future__ import annotations

import unicodedata

_ABBREVIATIONS = {"IMDb": "Imdb", "TMDb": "Tmdb", "OMDb": "Omdb", "IDs": "Ids"}
"""As they are written, and so that their letters stay together where camel case is split."""


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
