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
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.inference.films import FilmsFile
from movie_genres.inference.prediction_files import Columns, count_rows, join_parts, write_part
from movie_genres.locks import locked
from movie_genres.progress import Pace
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.signals import StoppedError, stopping_signals

if TYPE_CHECKING:
    from movie_genres.inference.classifier import GenreClassifier
    from movie_genres.posters.pictures import PictureFolder

CHUNK_ROWS = 2000
"""Films of a part. Batches of similar length, formed among 2,000, have hardly any padding; their
tokens take some tens of megabytes, and a killed run loses a minute of work at most."""
_RECORD = "command.json"
_FORMAT = 3


def predict_file(
    classifier: GenreClassifier,
    films: FilmsFile,
    output: Path,
    *,
    keep_columns: bool = False,
    restart: bool = False,
    overwrite: bool = False,
    pictures: PictureFolder | None = None,
) -> None:
    """Write the genres of all films, in their order.

    Args:
        output: Its suffix determines the format.
        keep_columns: Write the input's other columns too.
        restart: Discard the parts of an interrupted run instead of resuming after them.
        overwrite: Replace an existing `output`.
        pictures: Posters, named by the films' ids.

    Raises:
        InputError: If the parts in the folder are those of another command, or if another process
            is writing them.
        StoppedError: At SIGTERM or Ctrl-C; the films of complete parts are kept.
    """
    wanted = (TITLE, PLOT, *classifier.fields.names)
    kept = tuple(films.others()) if keep_columns else ()
    columns = Columns(classifier.decisions.labels, films.id, kept)
    read = films.columns_of(wanted) | {"id": films.id, "kept": kept}
    command = {
        "--input": films.sha256,
        "columns": json.dumps(read, ensure_ascii=False),
        **classifier.identity(),
    }
    if pictures is not None:
        command |= {"--image-dir": pictures.sha256(), "posters": classifier.posters.sha256()}
    also = [*kept, *([films.id] if films.id is not None else [])]
    with (
        Parts.opened(output, command, restart=restart) as parts,
        Progress(films.n_films, parts.n_films) as progress,
        stopping_signals(),
    ):
        try:
            remaining = islice(films.films(wanted, also), parts.n_films, None)
            while chunk := list(islice(remaining, CHUNK_ROWS)):
                fields = [film.fields for film in chunk]
                images = None if pictures is None else pictures.of_films(
                    [film.kept[str(films.id)] for film in chunk], films.id
                )  # fmt: skip
                predictions = classifier(fields, None, images, on_batch=progress.add)
                parts.add(list(map(columns.row, chunk, predictions)), columns)
            parts.join(columns, overwrite=overwrite)
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
            InputError: If they are those of another command, if another process is writing them, or
                if the folder holds anything else.
        """
        parts = cls(output.resolve())  # of a link, the file that it names
        parts._refuse_foreign()
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

    def add(self, rows: Sequence[Mapping[str, Any]], columns: Columns) -> None:
        new = self.folder / f"new{self.output.suffix}"
        write_part(new, rows, columns)
        path = self.folder / f"{len(self.paths):06d}-{len(rows)}{self.output.suffix}"
        _rename_once_on_disk(new, path)
        self.paths.append(path)

    def join(self, columns: Columns, *, overwrite: bool) -> None:
        """Join the parts to the output and remove them. It can be repeated after any crash.

        Raises:
            InputError: If the output has come into being meanwhile and must not be replaced.
        """
        joined = self.folder / f"joined{self.output.suffix}"
        join_parts(self.paths, joined, columns)
        if self.output.exists() and not overwrite:
            raise InputError(
                f"{self.output} exists now; move it away, or replace it with --overwrite, and "
                "repeat the command: its parts are kept"
            )
        _rename_once_on_disk(joined, self.output)
        (self.folder / _RECORD).unlink()
        shutil.rmtree(self.folder)

    def _refuse_foreign(self) -> None:
        """Nothing but parts is removed, should a user have a folder of this name."""
        suffix = re.escape(self.output.suffix)
        ours = rf"\d{{6}}-\d+{suffix}|(?:new|joined){suffix}|{re.escape(_RECORD)}(?:\.new)?|lock"
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is no folder; name another --output")
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if not re.fullmatch(ours, path.name):
                raise InputError(
                    f"{self.folder} holds {path.name}, which is no part of an interrupted "
                    "command; move it away, or name another --output"
                )

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
