"""Gzipped and zipped files, expanded into a temporary folder.

No path in an archive decides where a file is written, and the expanded size is limited.
"""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from movie_genres.errors import InputError, one_line

MOST_EXPANSION = 100
"""Ratio of sizes: text rarely shrinks to a twentieth, so this is no metadata."""
ALWAYS_ALLOWED = 64 * 2**20
"""Bytes up to which the ratio is not checked."""
_BLOCK = 2**20
_FOREIGN = {
    b"BZh": "a bzip2 file; expand it (bunzip2)",
    b"\xfd7zXZ": "an xz file; expand it (unxz)",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; expand it (unzstd)",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it and name the file in it",
    b"Rar!": "a RAR archive; unpack it and name the file in it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV (UTF-8) and try again",
    b"SQLite format 3": "an SQLite database; export its table as CSV",
    b"%PDF": "a PDF, which holds no table",
    b"\x80\x04\x95": "a Python pickle, which could run anything; save it as Parquet or CSV",
    b"\x80\x05\x95": "a Python pickle, which could run anything; save it as Parquet or CSV",
    b"<!DOCTYPE": "a web page, not what it links to; download the file itself",
    b"<html": "a web page, not what it links to; download the file itself",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run: git lfs pull",
}
"""First bytes of files that are given by mistake, what these are, and the remedy."""
_NO_DATA = re.compile(r"^__MACOSX/|(?:^|/)(?:\.|readme|licen[cs]e)[^/]*$", re.IGNORECASE)
"""Files in archives that are no data."""
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError)


def expand(path: Path, folder: Path) -> list[Path]:
    """The data files of a source: `path` itself, or what a .gz or .zip holds, written to `folder`.

    Archives are recognised by their first bytes, whatever their name.

    Raises:
        InputError: If the archive is damaged, encrypted, an Excel workbook, a tar or something else
            that holds no records; if a path in it is absolute or climbs out of it; or if it expands
            more than a hundredfold.
    """
    magic = _check_magic(path, str(path))
    limit = max(ALWAYS_ALLOWED, MOST_EXPANSION * path.stat().st_size)
    try:
        if magic[:2] == b"\x1f\x8b":
            name = path.stem if path.suffix.lower() == ".gz" else path.name
            if name.lower().endswith(".tar") or path.suffix.lower() == ".tgz":
                raise InputError(f"{path} is a tar archive; unpack it and name the file in it")
            with gzip.open(path) as content:
                expanded = [_write(content, folder / name, limit, path)]
        elif magic[:4] == b"PK\x03\x04":
            expanded = _expand_zip(path, folder, limit)
        else:
            return [path]
    except _DAMAGED as error:
        raise InputError(f"{path} cannot be expanded: {one_line(error)}") from None
    for part in expanded:
        inner = _check_magic(part, f"{path} holds {part.name}, which")
        if inner.startswith((b"\x1f\x8b", b"PK\x03\x04")):
            raise InputError(f"{path} holds another archive, {part.name}; unpack it and name that")
    return expanded


def _check_magic(path: Path, shown: str) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: If they are those of something that holds no records.
    """
    with path.open("rb") as file:
        magic = file.read(32)
    for start, what in _FOREIGN.items():
        if magic.startswith(start):
            raise InputError(f"{shown} is {what}")
    return magic


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
            raise InputError(f"{path} is an Excel workbook; save it as CSV (UTF-8) and try again")
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
        raise InputError(f"{path} is an empty archive")
    return expanded


def _write(content: IO[bytes] | gzip.GzipFile, target: Path, limit: int, archive: Path) -> Path:
    # Sizes in an archive's own table may lie, so the bytes are counted as they come.
    written = 0
    with target.open("xb") as file:
        while block := content.read(_BLOCK):
            written += len(block)
            if written > limit:
                raise InputError(
                    f"{archive} expands to more than {limit / 2**20:,.0f} MiB, far beyond what "
                    "text does; expand it yourself if you trust it"
                )
            file.write(block)
    return target
