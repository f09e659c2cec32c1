"""One repository on the Hub, through `huggingface_hub`: create, commit, pull back, tag, open.

Every step can be repeated: a second commit of the same files sends none of them again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoFile,
    get_token,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from movie_genres.errors import InputError, PublishError, one_line
from movie_genres.hub.client import Attempts, use_bounded_client

READER_TOKEN = "SPACE_TOKEN"
"""Variable with the token by which a space may read its private model."""
DRAFT = "draft"
"""Branch that a commit is checked on. Everyone who loads the repository by its name gets `main`."""

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
            raise InputError(one_line(error)) from None
        if self.repo_id.count("/") != 1:
            raise InputError(f"the repository {self.repo_id!r} is not of the form you/name")
        if self.tag is not None and not (self.tag[:1] == "v" and self.tag[1:2].isdigit()):
            raise InputError(f"--tag {self.tag!r} is not a version like v1.0")


@dataclass(frozen=True)
class Repository:
    """A repository that the user's token may write to."""

    api: HfApi
    target: HubTarget
    kind: str
    """model, dataset or space"""
    reader_token: str | None = field(default=None, repr=False)
    """With which a space reads its model, if that is private."""

    @classmethod
    def connect(
        cls, target: HubTarget, kind: str, token: str | None = None, reader_token: str | None = None
    ) -> Repository:
        """Sign in; this changes nothing on the Hub.

        Args:
            token: Instead of the one that `hf auth login` stored or HF_TOKEN holds.
            reader_token: With which a space is to read its model, if that is private.

        Raises:
            InputError: If there is no token, or the Hub refuses it.
            PublishError: If the Hub does not answer.
        """
        target.check()
        token = token or get_token()
        if token is None:
            raise InputError("no token for the Hub: run `hf auth login`, or set HF_TOKEN")
        if not sys.stderr.isatty():
            disable_progress_bars()
        use_bounded_client()
        repository = cls(HfApi(token=token), target, kind, reader_token)
        repository._retry("signing in", repository.api.whoami)
        if reader_token is not None:
            repository._retry(
                f"signing in by {READER_TOKEN}",
                lambda: repository.api.whoami(token=reader_token),
            )
        return repository

    def address(self, commit: str) -> str:
        """Of the page that shows a commit."""
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
        """Create it as a private repository, unless it exists.

        Raises:
            InputError: If it exists and is public, but `target.public` is not set; or if another
                commit has the tag.
        """
        name, tag = self.target.repo_id, self.target.tag
        self._retry(
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
            raise InputError(f"{name} is public already; add --public to publish to it")
        if tag is not None and self._tagged() not in (None, info.sha):
            raise InputError(f"{name} has a tag {tag} already; name another with --tag")

    def give_reader_token(self, model_id: str) -> None:
        """Make `reader_token` the secret HF_TOKEN of a space, whose library reads its model by it.

        Raises:
            InputError, PublishError: If the token may not read the model.
        """
        name, token = self.target.repo_id, self.reader_token
        if token is None:
            return

        def read() -> None:
            try:
                self.api.model_info(model_id, token=token)
            except HfHubHTTPError as error:
                if error.response.status_code in (401, 403, 404):
                    raise InputError(f"{READER_TOKEN} holds a token that may not read it") from None
                raise

        self._retry(f"reading {model_id} as the page will", read)
        self._retry(
            f"setting the secret HF_TOKEN of {name}",
            lambda: self.api.add_space_secret(name, "HF_TOKEN", token),
        )

    def _info(self) -> Any:
        name = self.target.repo_id
        return self._retry(
            f"looking up {name}",
            lambda: self.api.repo_info(name, repo_type=self.kind),
        )

    def _tagged(self) -> str | None:
        """The commit that has the tag, if one has."""
        name = self.target.repo_id
        refs = self._retry(
            "reading the tags", lambda: self.api.list_repo_refs(name, repo_type=self.kind)
        )
        return next((t.target_commit for t in refs.tags if t.name == self.target.tag), None)

    def draft(self, folder: Path, patterns: Sequence[str]) -> tuple[str, str]:
        """Commit a folder to a new branch `DRAFT`, which starts where `main` is.

        Args:
            folder, patterns: As for `commit`.

        Returns:
            The commit, and the one that `main` is at.
        """
        name, kind = self.target.repo_id, self.kind
        base = self._info().sha

        def start() -> None:
            self._remove_draft()  # of a command that was interrupted
            self.api.create_branch(name, branch=DRAFT, revision=base, repo_type=kind, exist_ok=True)

        self._retry(f"starting the branch {DRAFT}", start)
        return self.commit(folder, patterns, branch=DRAFT), base

    def merge(self, draft: str, base: str, folder: Path, patterns: Sequence[str]) -> str:
        """Commit to `main` what was committed to the branch `DRAFT`, and remove the branch.

        The Hub has no merge of branches. Large files are on the Hub already, so little is sent.

        Args:
            draft, base: What `draft` returned for the same folder and patterns.

        Returns:
            The commit on `main`.

        Raises:
            PublishError: If `main` is not at `base` any more.
        """
        commit = self.commit(folder, patterns, parent=base)
        if self._contents(commit) != self._contents(draft):
            raise PublishError(
                f"{self.address(commit)} differs from the checked commit {draft}; revert it"
            )
        self._retry(f"removing the branch {DRAFT}", self._remove_draft)
        return commit

    def _remove_draft(self) -> None:
        try:
            self.api.delete_branch(self.target.repo_id, branch=DRAFT, repo_type=self.kind)
        except HfHubHTTPError as error:
            if error.response.status_code != 404:  # there is none
                raise

    def _contents(self, commit: str) -> dict[str, str]:
        """By path: the hash of each file of a commit."""
        entries = self._retry(
            f"listing {self.target.repo_id}",
            lambda: list(
                self.api.list_repo_tree(
                    self.target.repo_id, recursive=True, revision=commit, repo_type=self.kind
                )
            ),
        )
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    def commit(
        self, folder: Path, patterns: Sequence[str], *, branch: str = "main",
        parent: str | None = None,
    ) -> str:  # fmt: skip
        """Upload a folder in one commit; no commit if the branch has these files already.

        Args:
            folder: All of its files are uploaded.
            patterns: What a repository of this kind consists of. Files in the repository that
                match a pattern but are not in the folder are from an earlier version: they are
                deleted. Other files stay.
            parent: The commit that the branch must be at; None: any.

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
            present = api.list_repo_files(name, repo_type=kind, revision=branch)
            stale = [path for path in present if path not in files and belongs(path, patterns)]
            operations = [CommitOperationDelete(path) for path in stale] + [
                CommitOperationAdd(path_in_repo, path) for path_in_repo, path in files.items()
            ]
            return api.create_commit(
                name, operations, repo_type=kind, revision=branch, parent_commit=parent,
                commit_message=f"Publish the {kind}",
            ).oid  # fmt: skip

        return self._retry(f"uploading to {name}", attempt)

    def pull(self, commit: str, files: Sequence[str], cache: Path) -> Path:
        """Download a commit's files into an empty cache; return the folder that holds them."""

        def attempt() -> str:
            return self.api.snapshot_download(
                self.target.repo_id,
                repo_type=self.kind,
                revision=commit,
                cache_dir=cache,
                allow_patterns=list(files),
            )

        return Path(self._retry("pulling back", attempt))

    def release(self, commit: str) -> None:
        """Tag the commit if there is a tag; make the repository public if `target.public` is set.

        Raises:
            PublishError: If another commit has the tag.
        """
        name, tag = self.target.repo_id, self.target.tag
        if tag is not None:
            self._retry(
                f"tagging {tag}",
                lambda: self.api.create_tag(
                    name, tag=tag, revision=commit, repo_type=self.kind, exist_ok=True
                ),
            )
            if (tagged := self._tagged()) != commit:
                raise PublishError(
                    f"the tag {tag} is at commit {tagged} already; name another with --tag for "
                    f"{commit}"
                )
        if self.target.public and self._info().private:
            self._retry(
                f"making {name} public",
                lambda: self.api.update_repo_settings(name, repo_type=self.kind, private=False),
            )

    def _retry(self, step: str, action: Callable[[], T]) -> T:
        attempts = Attempts(self.target.repo_id, [str(self.api.token), self.reader_token])
        return attempts.run(step, action)


def belongs(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path relative to the repository's root matches one of the patterns.

    A star does not match a slash: `*.safetensors` is a file at the root.
    """
    parts = path.split("/")
    return any(
        len(wanted) == len(parts) and all(map(fnmatch, parts, wanted))
        for wanted in (pattern.split("/") for pattern in patterns)
    )
