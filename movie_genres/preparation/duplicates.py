"""What rows of one film have in common: keys, nearly equal plots, titles with alike plots.

A plot in both train and test would let the model recite instead of generalise. Nearly
equal plots are found by MinHash over runs of three words, in bands (Broder, 1997; Leskovec,
Rajaraman and Ullman, ch. 3), and each pair is then compared exactly.

A film that two databases describe, or that is retold, shares hardly a sentence with itself, but
the rare words: names, places, things. Plots of one title are alike by the rare words that they
share (tf-idf with inverse document frequencies, Sparck Jones, 1972).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rensa import RMinHash
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from movie_genres.reading.identity import year_of

NEARLY_EQUAL = 0.8
"""Jaccard similarity of two plots' runs of three words from which they are the same plot."""
BANDS, BAND_ROWS = 9, 4
"""A pair at 0.8 shares a band with probability 0.991; one at 0.3 with 0.07, and is compared."""
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

_WORD = re.compile(r"\w+")
_WORD_CHARACTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_"
_WORDS_ONLY = bytes(c if c in _WORD_CHARACTERS else 0x20 for c in bytes(range(256)).lower())
_SEED = 1  # fixed: the same plots are neighbours in every run
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd: each half of a band decides its number
_YEAR_IN_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*$")
_ARTICLES = frozenset((b"the", b"a", b"an"))
_NO_TITLE = frozenset((b"untitled", b"unknown", b"no title", b"none", b"null", b"nan", b"n a"))
_BUCKETS = 2**22
"""Of words by their CRC."""
_SAMPLE = 10_000
"""Plots in which the words are counted, evenly spread."""
_PAIRS = 20_000
"""Pairs that are compared together."""


def words(text: str) -> list[bytes]:
    """The words of a text in lower case, without punctuation."""
    if text.isascii():
        return text.encode("ascii").translate(_WORDS_ONLY).split()
    return [word.encode(errors="replace") for word in _WORD.findall(text.casefold())]


def key_hash(key: bytes) -> int:
    """64 bits of a key, the same on every machine; 0 for an empty one, which equals no other."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little") if key else 0


def word_runs(found: Sequence[bytes]) -> list[bytes]:
    """Runs of three words; what is shorter is one run."""
    runs = [b"%b %b %b" % run for run in zip(found, found[1:], found[2:], strict=False)]
    return runs or [b" ".join(found)]


def plot_bands(plots: Sequence[Sequence[bytes]]) -> np.ndarray:
    """MinHash bands of plots: nearly equal plots have at least one in common.

    Args:
        plots: The words of each plot.

    Returns:
        uint64, shape (n_plots, BANDS); zeros for plots without words.
    """
    signatures = np.zeros((len(plots), BANDS * BAND_ROWS), dtype=np.uint32)
    for row, found in enumerate(plots):
        if found:
            # One object a plot: the library's calls for many plots start threads, which a process
            # forked afterwards would wait for in vain.
            minhash = RMinHash(num_perm=BANDS * BAND_ROWS, seed=_SEED)
            minhash.update(word_runs(found))
            signatures[row] = minhash.digest()
    halves = signatures.view(np.uint64).reshape(len(plots), BANDS, BAND_ROWS // 2)
    return halves[..., 0] * _MULTIPLIER + halves[..., 1]


def nearly_equal_pairs(
    bands: np.ndarray, plots_of: Callable[[np.ndarray], Iterable[str]]
) -> np.ndarray:
    """Pairs of rows whose plots are nearly equal.

    Args:
        bands: Of each row, as `plot_bands` gives them; zeros match nothing.
        plots_of: Gives the plots of row numbers (ascending, without repeats).

    Returns:
        Row numbers, shape (n_pairs, 2). In a large group each row is paired with the first row of
        a band, not with all others.
    """
    pairs = np.concatenate([_repeats(band) for band in bands.T])
    # Two row numbers as one, which is sorted ten times faster than pairs are.
    numbers = np.unique(pairs[:, 0] * len(bands) + pairs[:, 1])
    candidates = np.column_stack(np.divmod(numbers, max(1, len(bands))))
    rows = np.unique(candidates)
    plots = zip(rows.tolist(), plots_of(rows), strict=True)
    runs = {row: frozenset(word_runs(words(plot))) for row, plot in plots}
    equal = [_jaccard(runs[a], runs[b]) >= NEARLY_EQUAL for a, b in candidates.tolist()]
    return candidates[np.array(equal, dtype=bool)]


def _repeats(values: np.ndarray) -> np.ndarray:
    """Each row that repeats the value of an earlier row, paired with the first such row.

    Empty strings and zeros repeat nothing. Values are expected to be different for the most part.

    Returns:
        Row numbers, shape (n_repeats, 2).
    """
    ordered = np.sort(values)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    repeated = repeated[repeated != values.dtype.type()]
    if not len(repeated):
        return np.empty((0, 2), dtype=np.int64)
    # Arrow looks them up in a hash table, ten times faster than NumPy in a sorted array.
    rows = np.flatnonzero(pc.is_in(pa.array(values), value_set=pa.array(repeated)))
    _, first, inverse = np.unique(values[rows], return_index=True, return_inverse=True)
    pairs = np.column_stack([rows[first[inverse]], rows])
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _jaccard(a: frozenset[bytes], b: frozenset[bytes]) -> float:
    return len(a & b) / len(a | b)


def same_film_groups(
    keys: Sequence[Sequence[str] | np.ndarray], pairs: np.ndarray | None = None
) -> np.ndarray:
    """Group rows that share any key, directly or through other rows.

    Args:
        keys: One sequence of n_rows strings or numbers for each kind of key (identifier, plot,
            ...). Empty strings and zeros match nothing.
        pairs: Further rows that belong together, shape (n_pairs, 2).

    Returns:
        Group numbers, shape (n_rows,), counted from 0 in order of first appearance.
    """
    n_rows = len(keys[0])
    edges = [np.empty((0, 2), dtype=np.int64) if pairs is None else pairs]
    edges += [_repeats(np.asarray(column)) for column in keys]
    source, target = np.concatenate(edges).T
    graph = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), (n_rows, n_rows))
    return in_order(connected_components(graph, directed=False)[1])


def first_equal(values: np.ndarray) -> np.ndarray:
    """Where each value stands first, shape (n_values,)."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]


def in_order(numbers: np.ndarray) -> np.ndarray:
    """The same groups, numbered from 0 in order of first appearance."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


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
