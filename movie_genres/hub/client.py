"""What the Hub's client lacks: bounds on every request, and new attempts of a step that failed.

A busy Hub or a broken connection is tried again after a printed wait; what fails for good ends in
one line. The client of `huggingface_hub` (2.4) does so itself when it uploads, lists or resumes the
download of files, but not when it signs in, creates, commits, tags or checks a card. It has no
timeout, or is told to have none where it lists files, and waits as long as a server asks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
from huggingface_hub import get_session, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import parse_ratelimit_headers

from movie_genres.errors import InputError, PublishError, one_line

LONGEST_WAIT = 300.0
"""Seconds, the Hub's window for counting requests. If it asks for more, publishing ends."""
TIMEOUT = httpx2.Timeout(90.0, connect=10.0)
"""Seconds. A large commit is answered late; a connection is made at once."""


WAITS = (2.0, 8.0, 20.0)
"""Seconds before each new attempt of a step: half a minute in all, for a server to restart. Where
the client itself repeats a request five times (23 s), all attempts wait two minutes in all."""
_NO_ANSWER = (httpx2.TransportError, LocalEntryNotFoundError, ConnectionError, TimeoutError)

T = TypeVar("T")


def use_bounded_client() -> None:
    """Make every request of this process to the Hub end, whichever library sends it."""
    given = get_session().event_hooks
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [*(hook for hook in given["request"] if hook is not _bound), _bound],
        "response": [_refuse_long_wait],
    }
    set_client_factory(
        lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=TIMEOUT)
    )


def _bound(request: httpx2.Request) -> None:
    """Set the timeouts that a single call was given as None, which httpx2 takes for "never"."""
    given = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        name: limit if given.get(name) is None else given[name]
        for name, limit in TIMEOUT.as_dict().items()
    }


def _refuse_long_wait(response: httpx2.Response) -> None:
    """Raise `PublishError` where the client would wait for as long as the server asks."""
    wait = requested_wait(response)
    if (response.status_code == 429 or response.status_code >= 500) and wait > LONGEST_WAIT:
        raise PublishError(f"{status(response)}; run the same command again in {wait:.0f} s")


def requested_wait(response: httpx2.Response) -> float:
    """Seconds that a server asks to wait: until its limit of requests is reset, or Retry-After."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdigit() else 0.0  # a date is ignored, as by the client


def status(response: httpx2.Response) -> str:
    """Who answered what, for messages."""
    return f"{response.url.host} answers {response.status_code} {response.reason_phrase}"


@dataclass(frozen=True)
class Attempts:
    """Steps of work with one repository, each tried again where that may help."""

    repo_id: str
    secrets: Sequence[str | None] = field(repr=False)
    """Tokens that no message may show."""

    def run(self, step: str, action: Callable[[], T]) -> T:
        """Do one step; again after each of `WAITS`, or the longer wait that the Hub asks for, while
        it is busy or out of reach.

        Raises:
            InputError: If the Hub refuses the token, its rights or the card.
            PublishError: If the last attempt fails, or the Hub asks for a wait of more than
                `LONGEST_WAIT`.
        """
        for attempt, wait in enumerate((*WAITS, None), start=1):
            try:
                return action()
            except ValueError as error:  # raised by the client for a card that the Hub refuses
                raise InputError(f"{step}: {self._shown(error)}") from None
            except (HfHubHTTPError, httpx2.TransportError, RuntimeError) as error:
                reason, requested = self._temporary_failure(step, error)
            except OSError as error:
                # Xet has network errors of its own, and libraries raise some without a number.
                if error.errno is not None and not isinstance(error, _NO_ANSWER):
                    raise
                reason, requested = self._temporary_failure(step, error)
            if wait is None:
                raise PublishError(
                    f"{step}: {reason}; run the same command again, only what is missing is sent"
                )
            seconds = max(wait, requested)
            print(
                f"{step}: {reason}; trying again in {seconds:.0f} s ({attempt} of {len(WAITS)})",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            time.sleep(seconds)
        raise AssertionError("the last attempt returns or raises")

    def _temporary_failure(self, step: str, error: Exception) -> tuple[str, float]:
        """Reason and requested wait of a failure that may pass; any other is raised in one line."""
        cause: BaseException = error
        if type(error) in (RuntimeError, LocalEntryNotFoundError):
            # The client wraps what ends the upload of a large file in the first, and what ends a
            # download in the second. The Xet uploader raises the first for a broken connection.
            cause = error.__cause__ or error
        if isinstance(cause, PublishError):
            raise PublishError(f"{step}: {cause}") from None
        if not isinstance(cause, HfHubHTTPError):
            what = "no answer" if isinstance(cause, _NO_ANSWER) else "failed"
            return f"{what} ({self._shown(cause) or type(cause).__name__})", 0.0
        if cause.response.status_code != 429 and cause.response.status_code < 500:
            raise self._refusal(step, cause) from None
        return status(cause.response), requested_wait(cause.response)

    def _refusal(self, step: str, error: HfHubHTTPError) -> InputError | PublishError:
        code = error.response.status_code
        if code == 401:
            return InputError(
                f"{step}: the Hub refuses the token (401); run `hf auth login`, or set HF_TOKEN"
            )
        if code == 403:
            return InputError(
                f"{step}: the token does not allow this (403); use a token that may write to "
                f"{self.repo_id}, or name another repository"
            )
        if code == 412:
            return PublishError(
                f"{step}: another commit to {self.repo_id} came in between; run the same command "
                "again"
            )
        return PublishError(f"{step}: {self._shown(error)}")

    def _shown(self, error: BaseException) -> str:
        """A library's message in one line. It may quote a server that repeats what it was sent."""
        message = str(error)
        for secret in filter(None, self.secrets):
            message = message.replace(secret, "(the token)")
        return one_line(message)
