"""What the commands share: exit codes, and flags with dashes or underscores."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from movie_genres.errors import InputError, PublishError, TrainingError

EXIT_FAILURE = 1
EXIT_BAD_INPUT = 2

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


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what holds for Ctrl-C holds here."""


def exit_code(main: Callable[[], int]) -> int:
    """Run a command and turn what went wrong into an exit code.

    Returns:
        What `main` returns; 2 after one line on standard error for an `InputError`; 1 after one
        line for what the system refuses (a full disk, a folder that is not writable), a training
        that went wrong or a Hub that fails; 130 after Ctrl-C and 143 after SIGTERM, temporary files
        removed. Any other exception is a defect and passes, with its traceback: Python exits
        with 1.
    """
    owner = os.getpid()

    def terminate(number: int, _: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)  # a worker, forked: its owner cleans up
        signal.raise_signal(number)

    earlier = signal.signal(signal.SIGTERM, terminate)
    try:
        return main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (OSError, TrainingError, PublishError) as error:
        remedy = _REMEDIES.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        print(f"stopped by {number.name}", file=sys.stderr)
        return 128 + number
    finally:
        signal.signal(signal.SIGTERM, earlier or signal.SIG_DFL)


def dashes(argv: Sequence[str]) -> list[str]:
    """Arguments whose flags are written with dashes: `--output_dir=a_b` -> `--output-dir=a_b`."""
    written = []
    for argument in argv:
        flag, equals, value = argument.partition("=")
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        written.append(flag + equals + value)
    return written
