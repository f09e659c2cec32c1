"""The Hub's client with bounds: no request waits for ever, nor for as long as a server asks.

The client of `huggingface_hub` (2.4) has no timeout, or is told to have none where it lists files,
and waits as long as a busy server asks it to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
from huggingface_hub import get_session, set_client_factory
from huggingface_hub.utils import parse_ratelimit_headers

from movie_genres.errors import PublishError

LONGEST_WAIT = 300.0
"""Seconds, the Hub's window for counting requests. If it asks for more, publishing ends."""
TIMEOUT = httpx2.Timeout(90.0, connect=10.0)
"""Seconds. A large commit is answered late; a connection is made at once."""


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
