"""A lock on a folder that two processes would write: it ends with its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from movie_genres.errors import InputError


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock on a file, which is made for it and removed at the end.

    The system gives the lock back when the process ends, also when it is killed; the file that is
    left then locks nothing. Without effect on Windows, and on file systems that have no locks.

    Args:
        path: Of the file; its folder exists.
        busy: What to say if another process holds the lock.

    Raises:
        InputError: If another process holds it.
    """
    file = _taken(path, busy)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock ends, or it might be another's file
        file.close()


def _taken(path: Path, busy: str) -> IO[str]:
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            raise InputError(busy) from None
        except (ImportError, OSError):
            return file
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()  # its holder has just removed it
