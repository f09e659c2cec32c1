"""What the commands share: exit codes, and flags with dashes or underscores."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from movie_genres.errors import InputError, PublishError, TrainingError

EXIT_FAILURE = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_REMEDIES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "; make room on the disk and give the same command again",
    ),
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "; name a folder that can be written (--output-dir; HF_HOME for the cache)",
    ),
}


def exit_code(main: Callable[[], int]) -> int:
    """Run a command and turn what went wrong into an exit code.

    Returns:
        What `main` returns; 2 after one line on standard error for an `InputError`; 1 after one
        line for what the system refuses (a full disk, a folder that is not writable), a training
        that went wrong or a Hub that fails; 130 after Ctrl-C. Any other exception is a defect and
        passes, with its traceback: Python exits with 1.
    """
    try:
        return main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (OSError, TrainingError, PublishError) as error:
        remedy = _REMEDIES.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, too, leaves nothing half done: it raises `SystemExit`, as Ctrl-C its own."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    earlier = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def dashes(argv: Sequence[str]) -> list[str]:
    """Arguments whose flags are written with dashes: `--output_dir=a_b` -> `--output-dir=a_b`."""
    written = []
    for argument in argv:
        flag, equals, value = argument.partition("=")
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        written.append(flag + equals + value)
    return written
