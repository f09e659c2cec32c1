"""publish.py --space: a page that can read its model, and was started before it is published."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback_hub import TOKEN, Fault, LoopbackHub

import publish
from movie_genres.errors import InputError
from movie_genres.hub import space
from movie_genres.hub.publication import publish_page
from movie_genres.hub.repository import HubTarget, Repository
from movie_genres.hub.space import check_page, stage_space

NAME, PAGE = "tester/movie-genres", "tester/movie-genres-demo"


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "upload" / "space"
    stage_space(NAME, folder)
    return folder


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_page_that_could_not_read_its_private_model_is_refused_with_both_ways_out(
    hub: LoopbackHub, run: Path, more: list[str]
) -> None:
    with pytest.raises(InputError, match=rf"private model {NAME}; give --public, or set SPACE_TO"):
        publish.main([str(run), "--repo-id", NAME, "--space", PAGE, *more])
    assert hub.log == []


def test_a_private_page_reads_its_private_model_by_the_token_that_it_was_given(
    hub: LoopbackHub, check_in_this_process: None, run: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("SPACE_TOKEN", TOKEN)
    monkeypatch.setattr("movie_genres.hub.publication.check_page", lambda *arguments: [])
    assert publish.main([str(run), "--repo-id", NAME, "--space", PAGE]) == 0
    repo = hub.repos["spaces", PAGE]
    assert repo.private and hub.model(NAME).private
    assert repo.secrets == {"HF_TOKEN": TOKEN}
    assert not any(TOKEN.encode() in file.content for file in repo.files.values())
    assert set(repo.branches) == {"main"} and len(repo.commits) == 2
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert f"published: {hub.endpoint}/spaces/{PAGE}/tree/{repo.head}" in out


def test_a_public_page_gets_no_secret(
    hub: LoopbackHub, check_in_this_process: None, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_TOKEN", TOKEN)
    monkeypatch.setattr("movie_genres.hub.publication.check_page", lambda *arguments: [])
    assert publish.main([str(run), "--repo-id", NAME, "--public", "--space", PAGE]) == 0
    assert hub.repos["spaces", PAGE].secrets == {} and not hub.repos["spaces", PAGE].private


def test_a_token_that_the_hub_does_not_know_is_refused_before_anything_is_sent(
    hub: LoopbackHub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_TOKEN", "hf_of_nobody")
    with pytest.raises(InputError, match="signing in by SPACE_TOKEN: the Hub refuses") as refused:
        publish.main([str(run), "--repo-id", NAME, "--space", PAGE])
    assert "hf_of_nobody" not in str(refused.value)
    assert hub.requests("repos/create") == 0


def test_a_token_that_may_not_read_the_model_is_no_secret_of_the_page(
    hub: LoopbackHub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_genres.hub.publication.check_page", lambda *arguments: [])
    page = Repository.connect(HubTarget(PAGE), "space", reader_token=TOKEN)
    hub.faults.append(Fault(f"GET /api/models/{NAME}", 404))
    with pytest.raises(InputError, match="SPACE_TOKEN holds a token that may not read it"):
        publish_page(run / "model", NAME, PAGE, page)
    assert hub.repos["spaces", PAGE].secrets == {} and len(hub.repos["spaces", PAGE].commits) == 1


def test_the_page_answers_by_its_own_files_and_the_check_leaves_none(
    staged: Path, finished_run: Path
) -> None:
    before = sorted(staged.rglob("*"))
    # It starts and has an answer; that it loads another model is all that there is to say.
    found = check_page(staged, finished_run / "model", "someone/other")
    assert found == [f"the page loads {NAME}, not someone/other"]
    assert sorted(staged.rglob("*")) == before


def test_a_page_that_does_not_start_is_not_published(
    hub: LoopbackHub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "WINGS", ("reading", "preparation", "model", "decisions"))
    page = Repository.connect(HubTarget(PAGE), "space")
    with pytest.raises(
        InputError, match="the page does not start: .*No module named 'movie_genres.inference"
    ):
        publish_page(run / "model", NAME, PAGE, page)
    assert hub.requests("repos/create") == 0
