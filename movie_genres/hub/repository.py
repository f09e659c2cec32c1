"""One repository on the Hub, through `huggingface_hub`: create, commit, pull back, open, tag.

What may go well another time (a busy server, a broken connection) is tried again, each wait in
sight and bounded; what may not ends in one line. Every step can be repeated: a second commit of
the same files sends none of them again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    get_token,
    set_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import (
    disable_progress_bars,
    parse_ratelimit_headers,
    validate_repo_id,
)

from movie_genres.errors import InputError, PublishError

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import TrainingArguments

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new attempt: half a minute in all, which a restart of a server takes."""
LONGEST_WAIT = 300.0
"""Seconds, the Hub's window for counting requests; if it asks for more, the user may come back."""
# A large commit is answered late, but no gateway waits longer; a connection is made at once.
_TIMEOUT = httpx2.Timeout(90.0, connect=20.0)

T = TypeVar("T")


@dataclass(frozen=True)
class HubTarget:
    """Where to publish."""

    repo_id: str
    public: bool = False
    tag: str | None = None

    def check(self) -> None:
        """Raises: InputError: If the id or the tag is not one that the Hub takes."""
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise InputError(_one_line(error)) from None
        if self.repo_id.count("/") != 1:
            raise InputError(f"the repository {self.repo_id!r} is not of the form you/name")
        if self.tag is not None and not (self.tag[:1] == "v" and self.tag[1:2].isdigit()):
            raise InputError(f"--tag {self.tag!r} is no version like v1.0")


class _TryLaterError(Exception):
    """The server is busy or out of reach.

    Args:
        reason: In a few words.
        seconds: What the server asks to wait, 0 if it does not say.
    """

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _OneAttemptClient(httpx2.Client):
    """Raises `_TryLaterError` where the stock client would wait as long as it is told."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = super().send(request, **options)
        except httpx2.TransportError as error:
            reason = _one_line(error) or type(error).__name__
            raise _TryLaterError(f"no answer from {request.url.host} ({reason})") from None
        if response.status_code == 429 or response.status_code >= 500:
            response.close()
            raise _TryLaterError(
                f"{request.url.host} answers {response.status_code} {response.reason_phrase}",
                _asked_wait(response.headers),
            )
        return response


@dataclass(frozen=True)
class Repository:
    """A repository that the user's token may write to."""

    api: HfApi
    target: HubTarget
    kind: str
    """model, dataset or space"""

    @classmethod
    def connect(cls, target: HubTarget, kind: str, token: str | None = None) -> Repository:
        """See that the Hub is there and knows the token; changes nothing.

        Args:
            token: In place of the one that `hf auth login` stored or HF_TOKEN holds.

        Raises:
            InputError: If there is no token, or it is refused.
            PublishError: If the Hub is out of reach.
        """
        target.check()
        token = token or get_token()
        if token is None:
            raise InputError("no token for the Hub: run `hf auth login`, or set HF_TOKEN")
        if not sys.stderr.isatty():
            disable_progress_bars()
        hooks = get_session().event_hooks
        set_client_factory(
            lambda: _OneAttemptClient(event_hooks=hooks, follow_redirects=True, timeout=_TIMEOUT)
        )
        repository = cls(HfApi(token=token), target, kind)
        repository._patiently("signing in", repository.api.whoami)
        return repository

    def address(self, commit: str) -> str:
        """Where a commit is looked at."""
        prefix = "" if self.kind == "model" else f"{self.kind}s/"
        return f"{self.api.endpoint}/{prefix}{self.target.repo_id}/tree/{commit}"

    def environment(self, cache: Path) -> dict[str, str]:
        """What another process needs to read the repository with a cache of its own."""
        return {
            "HF_ENDPOINT": self.api.endpoint,
            "HF_HUB_CACHE": str(cache),
            "HF_TOKEN": str(self.api.token),
        }

    def create(self) -> None:
        """Create it, private, unless it exists.

        Raises:
            InputError: If it is public already and that was not asked for, or the tag is taken.
        """
        name, tag = self.target.repo_id, self.target.tag
        self._patiently(
            f"creating {name}",
            lambda: self.api.create_repo(
                name,
                repo_type=self.kind,
                private=True,
                exist_ok=True,
                space_sdk="gradio" if self.kind == "space" else None,
            ),
        )
        info = self._info()
        if not info.private and not self.target.public:
            raise InputError(f"{name} is public: give --public if that is meant")
        if tag is not None and self._tagged() not in (None, info.sha):
            raise InputError(f"{name} has a tag {tag} already: give another")

    def _info(self) -> Any:
        name = self.target.repo_id
        return self._patiently(
            f"looking at {name}", lambda: self.api.repo_info(name, repo_type=self.kind)
        )

    def _tagged(self) -> str | None:
        """The commit that has the tag asked for."""
        name = self.target.repo_id
        refs = self._patiently(
            "reading the tags", lambda: self.api.list_repo_refs(name, repo_type=self.kind)
        )
        return next((t.target_commit for t in refs.tags if t.name == self.target.tag), None)

    def commit(self, folder: Path, patterns: Sequence[str]) -> str:
        """Make the repository hold a folder's files, in one commit; no commit if it does already.

        Args:
            folder: All of its files are uploaded.
            patterns: What a repository of this kind consists of. Files of the repository that
                match and are not in the folder are from an earlier version, and are deleted.

        Returns:
            The commit, 40 hexadecimal digits.
        """
        name, api, kind = self.target.repo_id, self.api, self.kind
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

        def attempt() -> str:
            present = api.list_repo_files(name, repo_type=kind)
            stale = [path for path in present if path not in files and belongs(path, patterns)]
            operations = [CommitOperationDelete(path) for path in stale] + [
                CommitOperationAdd(path_in_repo, path) for path_in_repo, path in files.items()
            ]
            return api.create_commit(
                name, operations, repo_type=kind, commit_message=f"Publish the {kind}"
            ).oid

        return self._patiently(f"uploading to {name}", attempt)

    def pull(self, commit: str, files: Sequence[str], cache: Path) -> Path:
        """Download a commit's files into an empty cache; give the folder that holds them."""
        return Path(
            self._patiently(
                "pulling back",
                lambda: self.api.snapshot_download(
                    self.target.repo_id,
                    repo_type=self.kind,
                    revision=commit,
                    cache_dir=cache,
                    allow_patterns=list(files),
                ),
            )
        )

    def release(self, commit: str) -> None:
        """Give the commit its tag and open the repository to the public, where asked for."""
        name, tag = self.target.repo_id, self.target.tag
        if tag is not None:
            self._patiently(
                f"tagging {tag}",
                lambda: self.api.create_tag(
                    name, tag=tag, revision=commit, repo_type=self.kind, exist_ok=True
                ),
            )
            if (tagged := self._tagged()) != commit:
                raise PublishError(f"the tag {tag} stays at {tagged}: give {commit} another one")
        if self.target.public and self._info().private:
            self._patiently(
                f"making {name} public",
                lambda: self.api.update_repo_settings(name, repo_type=self.kind, private=False),
            )

    def _patiently(self, step: str, action: Callable[[], T]) -> T:
        """Do one step, again after a visible wait where that may help.

        Raises:
            InputError: If the Hub refuses the token, its rights or the card.
            PublishError: If the Hub goes on failing, or asks for a longer wait than `LONGEST_WAIT`.
        """
        for attempt, wait in enumerate((*WAITS, None), start=1):
            try:
                return action()
            except ValueError as error:  # the client's word for a card that the Hub does not take
                raise InputError(f"{step}: {self._without_token(error)}") from None
            except (
                _TryLaterError, HfHubHTTPError, RuntimeError, httpx2.TransportError
            ) as error:  # fmt: skip
                # What ends the upload of a large file comes wrapped in a RuntimeError; the Xet
                # uploader raises bare ones for a broken connection.
                cause = error.__cause__ if type(error) is RuntimeError else error
                if isinstance(cause, HfHubHTTPError):
                    raise self._refusal(step, cause) from None
                reason = self._without_token(cause or error)
                asked = cause.seconds if isinstance(cause, _TryLaterError) else 0.0
            if wait is None or asked > LONGEST_WAIT:
                later = f" in {asked:.0f} s" if asked > LONGEST_WAIT else ""
                raise PublishError(
                    f"{step}: {reason}; run the same command again{later}, it goes on from there"
                )
            pause = max(wait, asked)
            print(
                f"{step}: {reason}; trying again in {pause:.0f} s ({attempt} of {len(WAITS)})",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _refusal(self, step: str, error: HfHubHTTPError) -> InputError | PublishError:
        status = error.response.status_code
        if status == 401:
            return InputError(
                f"{step}: the Hub refuses the token (401); run `hf auth login`, or set HF_TOKEN"
            )
        if status == 403:
            return InputError(
                f"{step}: the token has no right to that (403); give a token that may write to "
                f"{self.target.repo_id}, or another repository"
            )
        return PublishError(f"{step}: {self._without_token(error)}")

    def _without_token(self, error: BaseException) -> str:
        """A library's message in one line; a server may repeat what it was sent."""
        return _one_line(str(error).replace(str(self.api.token), "(the token)"))


def belongs(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path, as seen from the repository's root, matches one of the patterns.

    A star stands for no slash: `*.safetensors` is a file at the root.
    """
    parts = path.split("/")
    return any(
        len(wanted) == len(parts) and all(map(fnmatch, parts, wanted))
        for wanted in (pattern.split("/") for pattern in patterns)
    )


def _asked_wait(headers: httpx2.Headers) -> float:
    """Seconds that a server asks to wait: until its limit of requests is reset, or Retry-After."""
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0  # or a date, which no Hub has sent


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:300]


def take_hub_target(args: TrainingArguments) -> tuple[HubTarget, str | None] | None:
    """Take the wish to publish, and the token, off the arguments, before a Trainer sees them.

    The stock Trainer would create a public repository at start, and push and save pickles, the
    token in them, at every checkpoint.

    Returns:
        Where to publish and the token given with `--hub_token`; None if nothing is published.

    Raises:
        InputError: If the Hub takes no such id.
    """
    wanted, token = args.push_to_hub, args.hub_token
    target = HubTarget(args.hub_model_id or "", public=args.hub_private_repo is False)
    args.push_to_hub, args.hub_token = False, None
    args.hub_model_id = args.hub_private_repo = None
    if not wanted:
        return None
    target.check()
    return target, token
