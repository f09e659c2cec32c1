"""What reaches `main`: only what was checked on a branch; and a Hub that fails in other ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi
from loopback_hub import Fault, LoopbackHub, Repo, StoredFile

from movie_genres.errors import PublishError
from movie_genres.hub.client import WAITS
from movie_genres.hub.repository import DRAFT, HubTarget, Repository

NAME = "tester/movie-genres"
PATTERNS = ("README.md", "config.json", "*.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    return folder


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture
def repository(hub: LoopbackHub) -> Repository:
    repository = Repository.connect(HubTarget(NAME, public=True), "model")
    repository.create()
    return repository


def contents(repo: Repo, branch: str = "main") -> dict[str, bytes]:
    files = repo.branches[branch][-1][2]
    return {name: file.content for name, file in files.items() if name != ".gitattributes"}


def in_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_main_changes_only_when_the_draft_is_merged(
    hub: LoopbackHub, repository: Repository, folder: Path
) -> None:
    repo = hub.model(NAME)
    draft, base = repository.draft(folder, PATTERNS)
    assert contents(repo) == {} and contents(repo, DRAFT) == in_folder(folder)
    sent = hub.requests("^PUT /lfs/")
    commit = repository.merge(draft, base, folder, PATTERNS)
    assert contents(repo) == in_folder(folder)
    assert repo.head == commit and [oid for oid, *_ in repo.commits] == [base, commit]
    assert set(repo.branches) == {"main"}
    assert hub.requests("^PUT /lfs/") == sent  # large files are not sent twice


def test_the_same_files_again_make_no_commit(
    hub: LoopbackHub, repository: Repository, folder: Path
) -> None:
    first = repository.merge(*repository.draft(folder, PATTERNS), folder, PATTERNS)
    again = repository.draft(folder, PATTERNS)
    assert again == (first, first)
    assert repository.merge(*again, folder, PATTERNS) == first
    assert len(hub.model(NAME).commits) == 2 and set(hub.model(NAME).branches) == {"main"}


def test_a_draft_that_was_left_behind_is_replaced(
    hub: LoopbackHub, repository: Repository, folder: Path
) -> None:
    repository.draft(folder, PATTERNS)
    (folder / "config.json").write_text('{"other": 1}')
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    draft, base = repository.draft(folder, PATTERNS)
    assert contents(hub.model(NAME), DRAFT) == in_folder(folder)
    repository.merge(draft, base, folder, PATTERNS)
    assert contents(hub.model(NAME)) == in_folder(folder)


def test_a_commit_of_another_person_in_between_is_not_overwritten(
    hub: LoopbackHub, repository: Repository, folder: Path
) -> None:
    draft, base = repository.draft(folder, PATTERNS)
    repo = hub.model(NAME)
    theirs = repo.commit("by hand", repo.files | {"config.json": StoredFile(b"[]", False)})
    with pytest.raises(PublishError, match="another commit .* in between; run the same command"):
        repository.merge(draft, base, folder, PATTERNS)
    assert repo.head == theirs
    repository.merge(*repository.draft(folder, PATTERNS), folder, PATTERNS)
    assert contents(repo) == in_folder(folder)


@pytest.mark.parametrize("line", ["POST .*/branch/", "DELETE .*/branch/", "POST .*/commit/main"])
def test_an_answer_that_is_lost_does_no_harm(
    hub: LoopbackHub, repository: Repository, folder: Path, waits: list[float], line: str
) -> None:
    fault = Fault(line, lose_answer=True)
    hub.faults.append(fault)
    repository.merge(*repository.draft(folder, PATTERNS), folder, PATTERNS)
    assert fault.times == 0 and len(waits) == 1
    assert contents(hub.model(NAME)) == in_folder(folder)
    assert len(hub.model(NAME).commits) == 2 and set(hub.model(NAME).branches) == {"main"}


@pytest.mark.parametrize("line", ["GET .*/tree/", "POST .*/branch/"])
def test_a_request_that_the_client_gives_no_timeout_ends_too(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], line: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr("movie_genres.hub.client.TIMEOUT", httpx2.Timeout(0.5))
    repository = Repository.connect(HubTarget(NAME), "model")
    repository.create()
    fault = Fault(line, hang=True)
    hub.faults.append(fault)
    draft, _ = repository.draft(folder, PATTERNS)
    pulled = repository.pull(draft, list(in_folder(folder)), tmp_path / "cache")
    assert fault.times == 0 and len(waits) == 1
    assert in_folder(pulled) == in_folder(folder)


class XetAuthenticationError(PermissionError):
    """As hf_xet has it."""


FAILURES = [
    ConnectionError("Server error: Request error: HTTP status server error (501)"),
    RuntimeError("Data integrity error: Shard version error"),
    TimeoutError("timed out"),
    XetAuthenticationError("the token has run out"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_failure_of_xet_is_tried_again_and_then_one_line(
    hub: LoopbackHub, repository: Repository, folder: Path, waits: list[float],
    monkeypatch: pytest.MonkeyPatch, failure: Exception,
) -> None:  # fmt: skip
    """Xet, which the loopback Hub does not speak, raises within `create_commit`."""
    create_commit, failures = HfApi.create_commit, [failure]

    def fail_first(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return create_commit(*args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", fail_first)
    draft, _ = repository.draft(folder, PATTERNS)
    assert waits == [WAITS[0]] and hub.model(NAME).find(draft)
    failures += [failure] * (len(WAITS) + 1)
    with pytest.raises(PublishError, match="run the same command again, only what") as ended:
        repository.commit(folder, PATTERNS)
    assert str(failure) in str(ended.value) and "\n" not in str(ended.value)


def test_what_the_system_refuses_is_no_failure_of_the_hub(
    repository: Repository, folder: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HfApi, "create_commit", full)
    with pytest.raises(OSError, match="No space left"):
        repository.commit(folder, PATTERNS)
    assert waits == []
