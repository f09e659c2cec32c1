"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING_FAILED = re.compile(r"os error \d+|No space left|PytorchStreamWriter|inline_container")
"""What tokenizers, safetensors and torch say, in exceptions of kinds of their own."""


@contextmanager
def written_whole(folder: Path) -> Iterator[None]:
    """Remove `folder` again if what is done here does not end well.

    Raises:
        OSError: If something cannot be written, whatever the library raised.
    """
    try:
        yield
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) or not _WRITING_FAILED.search(str(error)):
            raise
        raise OSError(errno.ENOSPC, f"{folder} cannot be written") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON; an earlier file stays until the new one is complete."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Put a complete folder in the place of another one, which is moved aside and then removed.

    Both must be on one file system.
    """
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
