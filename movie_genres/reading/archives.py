"""Compressed and zipped files, expanded into a temporary folder.

No path in an archive decides where a file is written, and the expanded size is limited.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from movie_genres.errors import InputError, one_line
from movie_genres.reading.workbooks import is_workbook

MOST_EXPANSION = 100
"""Ratio of sizes: text rarely shrinks to a twentieth, so this is no metadata."""
ALWAYS_ALLOWED = 64 * 2**20
"""Bytes up to which the ratio is not checked."""
_BLOCK = 2**20
_SHOWN = 5
_PICKLE = "a Python pickle, which could run anything; save it as Parquet or CSV"
_R_DATA = "an R data file; in R: write.csv(readRDS(FILE), 'films.csv', row.names = FALSE)"
_WEB_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body)\b", re.I | re.S)
_TAR = "is a tar archive; unpack it (tar -xf) and name the file in it"
_TAR_MARK = 257, b"ustar"
"""Where a tar archive says what it is."""
_FOREIGN = {
    b"\x28\xb5\x2f\xfd": "a Zstandard file; expand it (unzstd)",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it and name the file in it",
    b"Rar!": "a RAR archive; unpack it and name the file in it",
    b"SQLite format 3": "an SQLite database; export its table as CSV: sqlite3 -header -csv FILE "
    "'select * from TABLE' > films.csv",
    b"%PDF": "a PDF, which holds no table; get the data as CSV",
    b"\x80\x02": _PICKLE,
    b"\x80\x03": _PICKLE,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
    b"RDX": _R_DATA,
    b"RDA": _R_DATA,
    b"X\n\x00\x00\x00": _R_DATA,
    b"ARROW1": "an Arrow file; with pandas: pd.read_feather(FILE).to_parquet('films.parquet')",
    b"\x89HDF": "an HDF5 file; with pandas: pd.read_hdf(FILE).to_parquet('films.parquet')",
    b"ORC": "an ORC file; with pandas: pd.read_orc(FILE).to_parquet('films.parquet')",
    b"\x93NUMPY": "a NumPy array; save names and texts as CSV",
    b"\x89PNG": "a picture; give the file of titles, plots and genres",
    b"\xff\xd8\xff": "a picture; give the file of titles, plots and genres",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run: git lfs pull",
}
"""First bytes of files that are given by mistake, what these are, and the remedy."""
_NO_DATA = re.compile(
    r"^__MACOSX/|(?:^|/)(?:\.|readme|licen[cs]e)[^/]*$|\.(?:jpe?g|png|gif|webp|pdf|py|ipynb|md)$",
    re.IGNORECASE,
)
"""Files in archives that are no data."""
_DAMAGED = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError),
    *(NotImplementedError, OSError),  # bz2 raises OSError
)
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""First bytes of a compressed file, and how it is opened."""


def expand(path: Path, folder: Path) -> list[Path]:
    """The data files of a source: `path` itself, or what a .gz, .bz2, .xz or .zip holds, written
    to `folder`.

    Archives are recognised by their first bytes, whatever their name; workbooks stay as they are.

    Raises:
        InputError: If the archive is damaged, encrypted, a tar or something else that holds no
            records; if a path in it is absolute or climbs out of it; or if it expands
            more than a hundredfold.
    """
    magic = _check_magic(path, str(path))
    limit = max(ALWAYS_ALLOWED, MOST_EXPANSION * path.stat().st_size)
    opener = next((open_ for start, open_ in _OPENERS.items() if magic.startswith(start)), None)
    try:
        if opener is not None:
            packed = path.suffix.lower() in (".gz", ".bz2", ".xz")
            if re.search(r"\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz)$", path.name, re.IGNORECASE):
                raise InputError(f"{path} {_TAR}")
            with opener(path) as content:
                target = folder / (path.stem if packed else path.name)
                expanded = [_write(content, target, limit, path)]
        elif is_workbook(path):
            _check_workbook(path, limit)
            return [path]
        elif magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            expanded = _expand_zip(path, folder, limit)
        else:
            return [path]
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
        raise InputError(f"{path} cannot be expanded: {one_line(error)}") from None
    for part in expanded:
        inner = _check_magic(part, f"{path} holds {part.name}, which")
        if is_workbook(part):
            _check_workbook(part, limit)
        elif inner.startswith((b"PK\x03\x04", *_OPENERS)):
            raise InputError(f"{path} holds another archive, {part.name}; unpack it and name that")
    return expanded


def _check_magic(path: Path, shown: str) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: If they are those of something that holds no records.
    """
    with path.open("rb") as file:
        magic = file.read(512)
    if magic[_TAR_MARK[0] :].startswith(_TAR_MARK[1]):
        raise InputError(f"{shown} {_TAR}")
    if _WEB_PAGE.match(magic.lstrip(b"\xef\xbb\xbf")):
        raise InputError(
            f"{shown} is a web page, not what it links to; download the file itself (for a table "
            f"in the page, with pandas: pd.read_html({path.name!r})[0].to_csv('films.csv'))"
        )
    for start, what in _FOREIGN.items():
        if magic.startswith(start):
            raise InputError(f"{shown} is {what.replace('FILE', repr(path.name))}")
    return magic


def _check_workbook(path: Path, limit: int) -> None:
    """Raises: InputError: If a workbook says that it expands to more than `limit` bytes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > limit:
                raise InputError(_too_large(path, limit))


def _expand_zip(path: Path, folder: Path, limit: int) -> list[Path]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        for member in members:
            parts = PurePosixPath(member.filename.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
                raise InputError(
                    f"{path} holds the path {member.filename!r}, which leads out of the archive"
                )
        if any(member.filename == "[Content_Types].xml" for member in members):
            raise InputError(f"{path} is an Office document; save its table as CSV (UTF-8)")
        everything = [PurePosixPath(member.filename).name for member in members]
        members = [m for m in members if not _NO_DATA.search(m.filename)]
        expanded = []
        for member in members:
            with archive.open(member) as content:
                target = folder / PurePosixPath(member.filename).name
                if target in expanded:
                    raise InputError(f"{path} holds two files named {target.name}")
                written = _write(content, target, limit, path)
                limit -= written.stat().st_size
                expanded.append(written)
    if not expanded:
        raise InputError(
            f"{path} holds no file of films"
            + (f", only {', '.join(everything[:_SHOWN])}" if everything else ": it is empty")
            + (", ..." if len(everything) > _SHOWN else "")
        )
    return expanded


def _write(content: IO[bytes] | gzip.GzipFile, target: Path, limit: int, archive: Path) -> Path:
    # Sizes in an archive's own table may lie, so the bytes are counted as they come.
    written = 0
    with target.open("xb") as file:
        while block := content.read(_BLOCK):
            written += len(block)
            if written > limit:
                raise InputError(_too_large(archive, limit))
            file.write(block)
    return target


def _too_large(archive: Path, limit: int) -> str:
    return (
        f"{archive} expands to more than {limit / 2**20:,.0f} MiB, far beyond what text does; "
        "expand it yourself if you trust it"
    )
