"""One repository on the loopback Hub: commits, rights, tags, and what goes wrong on the way."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest
from loopback_hub import TOKEN, Fault, LoopbackHub, Repo, StoredFile

from movie_genres.errors import InputError, PublishError
from movie_genres.hub.client import LONGEST_WAIT, WAITS
from movie_genres.hub.repository import (
    HubTarget,
    Repository,
    belongs,
)

NAME = "tester/movie-genres"
PATTERNS = ("README.md", "config.json", "*.safetensors", "figures/*.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    (folder / "figures").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 400)
    (folder / "figures" / "f1.png").write_bytes(b"a picture")
    return folder


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that this project or the Hub's client waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def upload(folder: Path, target: HubTarget | None = None) -> tuple[Repository, str]:
    repository = Repository.connect(target or HubTarget(NAME), "model")
    repository.create()
    return repository, repository.commit(folder, PATTERNS)


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def published(repo: Repo) -> dict[str, bytes]:
    return {name: file.content for name, file in repo.files.items() if name != ".gitattributes"}


def test_a_folder_goes_to_a_private_repository_in_one_commit(
    hub: LoopbackHub, folder: Path
) -> None:
    _, commit = upload(folder)
    repo = hub.model(NAME)
    assert repo.private
    assert published(repo) == contents(folder)
    assert [oid for oid, *_ in repo.commits[1:]] == [commit]


def test_the_same_files_again_send_nothing_and_make_no_commit(
    hub: LoopbackHub, folder: Path
) -> None:
    _, first = upload(folder)
    sent = hub.requests("^PUT /lfs/")
    _, second = upload(folder)
    assert second == first
    assert hub.requests("^PUT /lfs/") == sent
    assert hub.requests("^POST .*/commit/") == 1


def test_only_the_file_that_changed_is_sent_again(hub: LoopbackHub, folder: Path) -> None:
    upload(folder)
    sent = hub.requests("^PUT /lfs/")
    (folder / "model.safetensors").write_bytes(b"other weights")
    upload(folder)
    assert hub.requests("^PUT /lfs/") == sent + 1
    assert published(hub.model(NAME)) == contents(folder)


def test_files_of_an_earlier_version_go_and_a_person_s_own_files_stay(
    hub: LoopbackHub, folder: Path
) -> None:
    upload(folder)
    repo = hub.model(NAME)
    repo.commit("by hand", repo.files | {"notes.txt": StoredFile(b"mine", False)})
    (folder / "figures" / "f1.png").rename(folder / "figures" / "other.png")
    upload(folder)
    assert published(hub.model(NAME)) == contents(folder) | {"notes.txt": b"mine"}


CLIENT_WAITS = [1, 2, 4, 8, 8]
"""Seconds that the Hub's client waits before it gives up."""
ALL_WAITS = [*CLIENT_WAITS, 2, *CLIENT_WAITS, 8, *CLIENT_WAITS, 20, *CLIENT_WAITS]
"""Of a request that the client repeats, in a step that is repeated."""


@pytest.mark.parametrize(
    ("fault", "waited", "shown"),
    [
        (
            Fault("whoami", 500),
            [2],
            "signing in: 127.0.0.1 answers 500 Internal Server Error; trying again in 2 s (1 of 3)",
        ),
        (Fault("repos/create", lose_answer=True), [2], "creating tester/movie-genres: no answer"),
        (Fault("GET .*/refs", 503, times=3), [2, 8, 20], "trying again in 20 s (3 of 3)"),
        (Fault("validate-yaml", 503), [2], "answers 503 Service Unavailable; trying again in 2 s"),
        (Fault("preupload", 429, {"Retry-After": "7"}), [8], "Waiting 8.0s before retry"),
        (Fault("preupload", 429, {"RateLimit": '"api";r=0;t=55'}), [56], "Waiting 56.0s before"),
        (Fault("preupload", 503, times=3), [1, 2, 4], "Retrying in 4s [Retry 3/5]"),
        (
            Fault("preupload", 503, times=6),
            [*CLIENT_WAITS, 2],
            "uploading to tester/movie-genres: 127.0.0.1 answers 503 Service Unavailable; trying",
        ),
        (Fault("objects/batch", 502), [1], "HTTP Error 502"),
        (Fault("PUT /lfs/", drop_after=50_000), [1], "thrown while requesting PUT"),
        (Fault("POST /verify", 500), [1], "HTTP Error 500"),
        (Fault("/commit/", 504), [2], "uploading to tester/movie-genres: 127.0.0.1 answers 504"),
        (Fault("/commit/", 429, {"Retry-After": "55"}), [55], "trying again in 55 s (1 of 3)"),
        (Fault("/commit/", lose_answer=True), [2], "uploading to tester/movie-genres: no answer"),
    ],
    ids=lambda value: value.pattern if isinstance(value, Fault) else "",
)
def test_a_failure_that_may_pass_is_printed_and_tried_again(
    hub: LoopbackHub,
    folder: Path,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    waited: list[float],
    shown: str,
) -> None:
    hub.faults.append(fault)
    before = contents(folder)
    _, commit = upload(folder, HubTarget(NAME, tag="v1.0"))
    assert waits == waited
    lines = capsys.readouterr().err.splitlines() + caplog.messages
    assert any(shown in line for line in lines)
    ours = {line for line in lines if "trying again in" in line}
    theirs = [line for line in caplog.messages if "[Retry" in line]
    assert len(ours) + len(theirs) == len(waited)
    assert published(hub.model(NAME)) == contents(folder) == before
    assert [oid for oid, *_ in hub.model(NAME).commits[1:]] == [commit]


def test_a_download_that_breaks_off_is_resumed(
    hub: LoopbackHub, folder: Path, waits: list[float], tmp_path: Path
) -> None:
    repository, commit = upload(folder)
    hub.faults.append(Fault("GET /cdn/", truncate=True, times=2))
    pulled = repository.pull(commit, list(contents(folder)), tmp_path / "cache")
    assert contents(pulled) == contents(folder)
    assert waits == [1, 1]


def test_a_star_does_not_match_a_slash() -> None:
    assert belongs("model.safetensors", PATTERNS) and belongs("figures/f1.png", PATTERNS)
    assert not belongs("checkpoint-1/model.safetensors", PATTERNS)
    assert not belongs("figures/old/f1.png", PATTERNS)


@pytest.mark.parametrize(
    ("step", "waited"),
    # The client asks for the metadata of a file twice without a wait.
    [("tag/", [2]), ("refs", [2]), ("HEAD .*README.md", []), ("GET /cdn/", [2]), ("/tree/", [1])],
)
def test_pulling_back_and_tagging_are_tried_again_too(
    hub: LoopbackHub,
    folder: Path,
    waits: list[float],
    tmp_path: Path,
    step: str,
    waited: list[float],
) -> None:
    repository, commit = upload(folder, HubTarget(NAME, tag="v1.0"))
    hub.faults.append(Fault(step, 503))
    pulled = repository.pull(commit, list(contents(folder)), tmp_path / "cache")
    repository.release(commit)
    assert contents(pulled) == contents(folder)
    assert hub.model(NAME).tags == {"v1.0": commit}
    assert waits == waited


def test_a_hub_that_is_busy_at_every_attempt_ends_the_sign_in_in_one_line(
    hub: LoopbackHub, waits: list[float]
) -> None:
    hub.faults.append(Fault("whoami", 502, times=len(WAITS) + 1))
    with pytest.raises(PublishError, match=r"signing in: .* 502 Bad Gateway; run the same command"):
        Repository.connect(HubTarget(NAME), "model")
    assert waits == list(WAITS)


def test_a_hub_that_goes_on_failing_ends_in_one_line_and_the_next_run_sends_the_rest(
    hub: LoopbackHub, folder: Path, waits: list[float]
) -> None:
    hub.faults.append(Fault("/commit/", 503, times=len(WAITS) + 1))
    with pytest.raises(PublishError) as failure:
        upload(folder)
    assert str(failure.value) == (
        f"uploading to {NAME}: 127.0.0.1 answers 503 Service Unavailable; run the same command "
        "again, only what is missing is sent"
    )
    assert waits == list(WAITS)
    sent = hub.requests("^PUT /lfs/")
    upload(folder)
    assert hub.requests("^PUT /lfs/") == sent
    assert published(hub.model(NAME)) == contents(folder)


@pytest.mark.parametrize("step", ["whoami", "preupload", "PUT /lfs/"])
def test_a_server_that_asks_for_a_long_wait_ends_in_one_line(
    hub: LoopbackHub, folder: Path, waits: list[float], step: str
) -> None:
    hub.faults.append(Fault(step, 429, {"Retry-After": f"{LONGEST_WAIT + 1:.0f}"}))
    with pytest.raises(
        PublishError, match=r": \S+ answers 429 .*same command again in 301 s"
    ) as no:
        upload(folder)
    assert "\n" not in str(no.value)
    assert waits == []


def test_a_hub_that_is_gone_ends_in_one_line(
    hub: LoopbackHub, folder: Path, waits: list[float], tmp_path: Path
) -> None:
    repository, commit = upload(folder)
    hub.stop()
    for step in (
        lambda: repository.commit(folder, PATTERNS),
        lambda: repository.pull(commit, list(contents(folder)), tmp_path / "cache"),
    ):
        waits.clear()
        with pytest.raises(PublishError, match=": no answer .*; run the same comm") as failure:
            step()
        assert "\n" not in str(failure.value)
        assert waits == ALL_WAITS


def test_a_server_that_does_not_answer_in_time_is_tried_again(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr("movie_genres.hub.client.TIMEOUT", httpx2.Timeout(0.5))
    hub.faults.append(Fault("preupload", hang=True))
    _, commit = upload(folder)
    assert hub.model(NAME).head == commit
    assert waits == [1]


def test_a_refused_token_is_one_line_that_does_not_show_it(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_someone_else")
    with pytest.raises(InputError, match=r"refuses the token \(401\); run `hf auth login`") as no:
        Repository.connect(HubTarget(NAME), "model")
    assert "hf_of_someone_else" not in str(no.value)


def test_a_token_that_a_server_repeats_in_its_message_is_not_shown(
    hub: LoopbackHub, folder: Path
) -> None:
    repository, _ = upload(folder)
    hub.faults.append(Fault("/tag/", 418, body={"error": f"no tags for Bearer {TOKEN}"}))
    with pytest.raises(PublishError, match=r"no tags for Bearer \(the token\)"):
        Repository(repository.api, HubTarget(NAME, tag="v1"), "model").release("main")


def test_another_s_repository_is_refused(hub: LoopbackHub, folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"does not allow this \(403\).*may write to another/model"
    ):
        upload(folder, HubTarget("another/model"))


def test_without_a_token_nothing_is_asked(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no token for the Hub: run `hf auth login`"):
        Repository.connect(HubTarget(NAME), "model")
    assert hub.log == []


def test_a_card_that_the_hub_refuses_is_reported_before_anything_is_sent(
    hub: LoopbackHub, folder: Path
) -> None:
    (folder / "README.md").write_text("---\nlicense: [a, b]\n---\n# A model\n")
    with pytest.raises(InputError, match=r'Invalid metadata.*"license" must be a string'):
        upload(folder)
    assert hub.requests("preupload|^PUT") == 0


def test_a_repository_is_opened_only_at_the_end_and_only_if_asked_for(
    hub: LoopbackHub, folder: Path
) -> None:
    repository, commit = upload(folder, HubTarget(NAME, public=True))
    assert hub.model(NAME).private
    repository.release(commit)
    assert not hub.model(NAME).private
    with pytest.raises(InputError, match="is public already; add --public to publish to it"):
        upload(folder)


def test_a_tag_stays_where_it_is(hub: LoopbackHub, folder: Path) -> None:
    target = HubTarget(NAME, tag="v1.0")
    repository, commit = upload(folder, target)
    repository.release(commit)
    repository, again = upload(folder, target)  # the same files: the same tag is no contradiction
    repository.release(again)
    (folder / "config.json").write_text('{"other": 1}')
    repository, other = upload(folder, target)
    with pytest.raises(PublishError, match=re.escape(f"v1.0 is at commit {commit} already")):
        repository.release(other)
    with pytest.raises(InputError, match=r"has a tag v1.0 already"):
        upload(folder, target)
    assert hub.model(NAME).tags == {"v1.0": commit}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (HubTarget("movie-genres"), "is not of the form you/name"),
        (HubTarget("a/b/c"), "a/b/c"),
        (HubTarget("you/movie genres"), "movie genres"),
        (HubTarget(NAME, tag="latest"), "--tag 'latest' is not a version like v1.0"),
    ],
)
def test_a_name_or_tag_that_cannot_be_is_refused(target: HubTarget, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target.check()
