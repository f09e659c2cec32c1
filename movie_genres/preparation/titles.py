"""Rows of one title: which of them are one film, by the year of release and by the plot.

A film that two databases describe, or that is retold, shares hardly a sentence with itself, but
the rare words: names, places, things. Plots are alike by the rare words that they share (tf-idf
with inverse document frequencies, Sparck Jones, 1972).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

import numpy as np
from scipy.sparse import csr_array

from movie_genres.preparation.duplicates import words
from movie_genres.reading.identity import year_of

ALIKE = 0.1
"""Share of the weight of the words of one plot that the other one has too (of the plot that has
less), from which plots of one title are one film's. Measured on 59,163 films: 88 to 96 % of the
pairs of a film's two descriptions reach it, and 1 to 10 % of those of any two films."""
COPIED = 0.35
"""Likewise where one source gives the two ids of its own. Most of those are remakes, of which half
of a tenth reach it; a plot with a few words changed, or truncated, reaches 0.8."""
YEARS_APART = 1
"""Databases differ by a year about a film's release; remakes are further apart."""
LARGEST_TITLE = 100
"""Films of one title, up to which it is looked at; what more films are called is no title."""

_YEAR_IN_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*$")
_ARTICLES = frozenset((b"the", b"a", b"an"))
_NO_TITLE = frozenset((b"untitled", b"unknown", b"no title", b"none", b"null", b"nan", b"n a"))
_BUCKETS = 2**22
"""Of words by their CRC."""
_SAMPLE = 10_000
"""Plots in which the words are counted, evenly spread."""
_PAIRS = 20_000
"""Pairs that are compared together."""


def title_and_year(title: str) -> tuple[bytes, int]:
    """What is compared of a title, and the year that stands in brackets after it (0: none).

    Case, punctuation, accents and "and" do not count, and "Matrix, The" is "The Matrix". Empty for
    what stands where there is no title.
    """
    year = 0
    if title[-1:] in (")", "]") and (found := _YEAR_IN_BRACKETS.search(title)):
        year = year_of(found[1])
        title = title[: found.start()] if year and found.start() else title
    if not title.isascii():
        parts = (c for c in unicodedata.normalize("NFKD", title) if not _is_accent(c))
        title = unicodedata.normalize("NFC", "".join(parts))
    found_words = [word for word in words(title) if word != b"and"] or words(title)
    if len(found_words) > 1 and found_words[-1] in _ARTICLES and "," in title:
        found_words.insert(0, found_words.pop())
    key = b" ".join(found_words)
    return (b"" if key in _NO_TITLE else key), year


def _is_accent(character: str) -> bool:
    # Only on Latin, Greek and Cyrillic letters: in other scripts such marks make other words.
    return "\u0300" <= character <= "\u036f"


def same_title_pairs(titles: np.ndarray, years: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pairs of rows with one title whose years do not contradict each other.

    Args:
        titles: Hashes of the titles, 0 for none, shape (n_rows,).
        years: 0 for unknown ones, shape (n_rows,).
        known: Groups of rows that are one film already; a pair of two films is given once.

    Returns:
        Row numbers, shape (n_pairs, 2).
    """
    named = np.flatnonzero(titles)
    # One row for each film, title and year.
    order = named[np.lexsort((named, known[named], years[named], titles[named]))]
    kept = np.ones(len(order), dtype=bool)
    same = [values[order][1:] == values[order][:-1] for values in (titles, years, known)]
    kept[1:] = ~(same[0] & same[1] & same[2])
    order = order[kept]
    _, number, sizes = np.unique(titles[order], return_inverse=True, return_counts=True)
    order = order[(sizes[number] > 1) & (sizes[number] <= LARGEST_TITLE)]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for distance in range(1, LARGEST_TITLE):
        a, b = order[:-distance], order[distance:]
        a, b = a[titles[a] == titles[b]], b[titles[a] == titles[b]]
        if not len(a):
            break
        apart = np.abs(years[a].astype(np.int32) - years[b])
        possible = (apart <= YEARS_APART) | (years[a] == 0) | (years[b] == 0)
        possible &= known[a] != known[b]
        pairs.append(np.column_stack([a[possible], b[possible]]))
    return np.concatenate(pairs)


def likeness(
    pairs: np.ndarray,
    n_rows: int,
    cells_of: Callable[[np.ndarray, str], Iterable[str]],
) -> np.ndarray:
    """How much the plots of rows with one title share.

    Args:
        pairs: Row numbers, shape (n_pairs, 2).
        n_rows: Of all rows, in which words are counted.
        cells_of: Gives the cells of row numbers (ascending, without repeats): plot, title.

    Returns:
        float32, shape (n_pairs,), from 0 to 1: the weight of the shared words, by that of the words
        of the plot that has less. A word weighs the square of its inverse document frequency.
    """
    if not len(pairs):
        return np.empty(0, dtype=np.float32)
    sample = np.arange(0, n_rows, -(-n_rows // _SAMPLE))
    counts = np.zeros(_BUCKETS, dtype=np.int32)
    for plot in cells_of(sample, "plot"):
        counts[_buckets(words(plot))] += 1
    weight = np.log((len(sample) + 1) / (counts + 1)).astype(np.float32).clip(min=0)
    rows, number = np.unique(pairs, return_inverse=True)
    number = number.reshape(pairs.shape)
    texts = zip(cells_of(rows, "plot"), cells_of(rows, "title"), strict=True)
    # The words of a title stand in the plots of all films that have it.
    found = [_buckets(set(words(plot)).difference(words(title))) for plot, title in texts]
    starts = np.concatenate([[0], np.cumsum([len(part) for part in found])])
    columns = np.concatenate(found)
    plots = csr_array((weight[columns], columns, starts), (len(rows), _BUCKETS))
    total = np.asarray(plots.multiply(plots).sum(axis=1)).ravel()
    shared = [
        np.asarray(plots[part[:, 0]].multiply(plots[part[:, 1]]).sum(axis=1)).ravel()
        for part in np.split(number, range(_PAIRS, len(number), _PAIRS))
    ]
    return np.concatenate(shared) / np.maximum(total[number].min(axis=1), 1e-9)


def _buckets(found: Sequence[bytes] | set[bytes]) -> np.ndarray:
    """Numbers of the different words, ascending."""
    return np.unique(np.fromiter((crc32(w) % _BUCKETS for w in found), dtype=np.int32))
