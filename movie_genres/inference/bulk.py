"""Films in a file -> genres in a file, a chunk at a time; an interrupted command can be resumed.

Every finished chunk is a part in `<output>.parts/`, beside a record of the command. The same
command resumes after the last complete part. At the end the parts are joined to the output, which
appears whole or not at all, and the folder is removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from movie_genres.errors import InputError
from movie_genres.files import file_sha256, write_json
from movie_genres.inference.prediction_files import count_rows, join_parts, rows_of, write_part
from movie_genres.locks import locked
from movie_genres.progress import Pace
from movie_genres.reading.archives import expand
from movie_genres.reading.columns import PLOT, TITLE, field_names
from movie_genres.reading.records import Malformed, Table
from movie_genres.reading.tables import open_table
from movie_genres.signals import StoppedError, stopping_signals

if TYPE_CHECKING:
    from movie_genres.inference.classifier import GenreClassifier

CHUNK_ROWS = 2000
"""Films of a part. Batches of similar length, formed among 2,000, have hardly any padding; their
tokens take some tens of megabytes, and a killed run loses a minute of work at most."""
_RECORD = "command.json"
_FORMAT = 2
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""A surrogate: JSON can hold it, UTF-8 cannot."""
_SHOWN_ROWS = 5


@dataclass(frozen=True)
class FilmsFile:
    """A file of films that was read once from beginning to end."""

    table: Table
    sha256: str
    names: dict[str, str]
    """What each column is called in a composition of text fields."""
    n_films: int
    n_without_plot: int
    notes: list[str] = field(default_factory=list)
    """What the user should know about how the file is read, one sentence each."""

    def films(self, wanted: Sequence[str]) -> Iterator[dict[str, str]]:
        """The wanted fields of each film, broken rows left out."""
        columns = [column for column, name in self.names.items() if name in wanted]
        names = [self.names[column] for column in columns]
        for record in self.table.records(columns):
            if not isinstance(record, Malformed):
                cells = (_HALF_CHARACTER.sub("\ufffd", cell) for cell in record)
                yield dict(zip(names, cells, strict=True))


def open_films(
    path: Path,
    folder: Path,
    *,
    text_column: str | None = None,
    title_column: str | None = None,
    skip_broken: bool = False,
) -> FilmsFile:
    """Open a file of films and read all of it, so that its defects are reported before the work.

    Args:
        path: CSV, TSV, JSON, JSON Lines, Parquet, ` ::: `-separated, gzipped or zipped.
        folder: Where an archive is expanded; it must exist as long as the films are read.
        text_column: Column of the plots; None: found by name.
        title_column: Column of the titles; None: found by name.
        skip_broken: Leave out rows that cannot be read.

    Raises:
        InputError: If the file is missing, cannot be read or has no plot, or if it has broken rows
            and `skip_broken` is false.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    parts = expand(path, folder)
    if len(parts) > 1:
        raise InputError(f"{path} holds several files; unpack it and name one")
    table = open_table(parts[0])
    names = field_names([c for c in table.columns if c], text_column, title_column)
    plot = next(column for column, name in names.items() if name == PLOT)
    n_films = n_without_plot = 0
    broken: list[str] = []
    for number, record in enumerate(table.records([plot]), 1):
        if isinstance(record, Malformed):
            broken.append(f"row {number}: {record.reason} ({record.detail})")
        else:
            n_films += 1
            n_without_plot += not record[0].strip()
    if broken and not skip_broken:
        more = f"; {len(broken):,} such rows in all" if len(broken) > 1 else ""
        raise InputError(
            f"{path} {broken[0]}{more}; correct them, or leave them out with --skip-broken"
        )
    if n_films == n_without_plot:
        raise InputError(
            f"{path} has no plot: the column {plot!r} is empty in all {n_films:,} rows"
        )
    notes = list(table.notes)
    if broken:
        shown = "; ".join(broken[:_SHOWN_ROWS]) + ("; ..." if len(broken) > _SHOWN_ROWS else "")
        notes.append(f"{len(broken):,} rows cannot be read and are left out: {shown}")
    return FilmsFile(table, file_sha256(parts[0]), names, n_films, n_without_plot, notes)


def predict_file(
    classifier: GenreClassifier, films: FilmsFile, output: Path, *, restart: bool = False
) -> None:
    """Write the genres of all films, in their order.

    Args:
        output: Its suffix determines the format.
        restart: Discard the parts of an interrupted run instead of resuming after them.

    Raises:
        InputError: If the parts in the folder are those of another command, or if another process
            is writing them.
        StoppedError: At SIGTERM or Ctrl-C; the films of complete parts are kept.
    """
    wanted = (TITLE, *classifier.fields.names)
    columns = {name: column for column, name in films.names.items() if name in wanted}
    command = {
        "--input": films.sha256,
        "columns": json.dumps(columns, ensure_ascii=False),
        **classifier.identity(),
    }
    labels = classifier.decisions.labels
    with (
        Parts.opened(output, command, restart=restart) as parts,
        Progress(films.n_films, parts.n_films) as progress,
        stopping_signals(),
    ):
        try:
            remaining = islice(films.films(wanted), parts.n_films, None)
            while chunk := list(islice(remaining, CHUNK_ROWS)):
                predictions = classifier(chunk, on_batch=progress.add)
                parts.add(rows_of(chunk, predictions), labels)
            parts.join(labels)
        except StoppedError as stop:
            stop.after = f"after {parts.n_films:,} of {films.n_films:,} films"
            raise


class Parts:
    """The folder `<output>.parts/` of one command.

    A part is named by its number and its rows, `000003-2000.csv`. It gets this name when all of it
    is on the disk, so that no crash leaves an incomplete part under it.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(output.name + ".parts")
        self.paths: list[Path] = []

    @property
    def n_films(self) -> int:
        return sum(map(_rows_in_name, self.paths))

    @classmethod
    @contextmanager
    def opened(cls, output: Path, command: Mapping[str, str], *, restart: bool) -> Iterator[Parts]:
        """The complete parts of an earlier run of this command, locked for this process.

        Raises:
            InputError: If they are those of another command, or if another process is writing them.
        """
        parts = cls(output)
        parts.folder.mkdir(parents=True, exist_ok=True)
        busy = f"another process is writing {parts.folder}; wait for it, or name another --output"
        with locked(parts.folder / "lock", busy):
            record = {"format": _FORMAT, "chunk rows": CHUNK_ROWS, **command}
            different = [] if restart else parts._differences(record)
            if different:
                raise InputError(
                    f"{parts.folder} holds the parts of a command with different "
                    f"{'; '.join(different)}. Repeat that command to resume it, add --restart to "
                    "discard its parts, or name another --output"
                )
            if restart or not (parts.folder / _RECORD).is_file():
                # The record is removed first and written last: parts without it are not resumed.
                (parts.folder / _RECORD).unlink(missing_ok=True)
                for path in parts.folder.glob("*-*"):
                    path.unlink()
                write_json(parts.folder / _RECORD, record)
            parts.paths = list(parts._complete())
            yield parts

    def add(self, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
        new = self.folder / f"new{self.output.suffix}"
        write_part(new, rows, labels)
        path = self.folder / f"{len(self.paths):06d}-{len(rows)}{self.output.suffix}"
        _rename_once_on_disk(new, path)
        self.paths.append(path)

    def join(self, labels: Sequence[str]) -> None:
        """Join the parts to the output and remove them. It can be repeated after any crash."""
        joined = self.folder / f"joined{self.output.suffix}"
        join_parts(self.paths, joined, labels)
        _rename_once_on_disk(joined, self.output)
        (self.folder / _RECORD).unlink()
        shutil.rmtree(self.folder)

    def _differences(self, record: Mapping[str, Any]) -> list[str]:
        try:
            old = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
            names = [name for name in record if old.get(name) != record[name]]
        except FileNotFoundError:
            return []
        except (ValueError, AttributeError):
            return [f"commands ({_RECORD} in it cannot be read)"]
        return [_difference(name, old.get(name), record[name]) for name in names]

    def _complete(self) -> Iterator[Path]:
        """Parts in order, up to the first that is missing or has another number of rows."""
        for number in count():
            path = next(self.folder.glob(f"{number:06d}-*"), None)
            if path is None or count_rows(path) != _rows_in_name(path):
                return
            yield path


def _rows_in_name(part: Path) -> int:
    return int(part.stem.split("-")[1])


def _difference(name: str, old: object, new: object) -> str:
    short = all(len(str(value)) <= 40 for value in (old, new))
    return f"{name} (was {old}, is {new})" if short else name


def _rename_once_on_disk(new: Path, path: Path) -> None:
    """Give a complete file its name, so that a power cut leaves all of it or nothing."""
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    new.replace(path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Progress:
    """A bar on a terminal, elsewhere one line per minute."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.pace = total, done, Pace(done)
        if done:
            print(f"resuming after {done:,} of {total:,} films", file=sys.stderr)
        self._bar = tqdm(
            total=total, initial=done, unit=" films", disable=not sys.stderr.isatty(), leave=False
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, n_films: int) -> None:
        self.done += n_films
        self._bar.update(n_films)
        if self._bar.disable and self.pace.is_due():
            left = self.pace.left(self.done, self.total)
            print(
                f"{self.done:,} of {self.total:,} films, {left} left", file=sys.stderr, flush=True
            )
