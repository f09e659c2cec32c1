"""The demo page: its text about a film, its files, and how it works in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import unescape
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from conftest import OTHER_WORDS, ROOT
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from movie_genres.errors import InputError
from movie_genres.hub.space import SPACE_FILES, stage_space
from movie_genres.inference.classifier import GenreClassifier, Prediction
from space import app

pytest.importorskip("gradio", reason="needs: pip install -r space/requirements.txt")
PLOT = "A clumsy sheriff laughs at the ghost in the old saloon"


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> GenreClassifier:
    return GenreClassifier.from_pretrained(str(finished_run / "model"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upload") / "space"
    stage_space("tester/movie-genres", folder)
    return folder


def given(bars: str) -> list[str]:
    chips = bars.split('class="genres"')[0]
    return [unescape(genre) for genre in re.findall(r"<span>(.*?)</span>", chips)]


@pytest.mark.parametrize("title", ["", "Film <i>1</i>"])
@pytest.mark.parametrize("plot", [PLOT, "blood &amp; scream in the cellar", "jokes " * 500, "x"])
def test_the_page_decides_as_the_classifier_does(
    classifier: GenreClassifier, title: str, plot: str
) -> None:
    bars, reading = app.answer(classifier, title, plot)
    film = classifier([plot], [title])[0]
    assert given(bars) == list(film.genres)
    rows = re.findall(r'class="name">(.*?)</div>.*?class="value">(.*?)</div>', bars)
    assert {name: float(value) for name, value in rows} == {
        name: round(p, 2) for name, p in film.probabilities.items()
    }
    marks = re.findall(r'class="mark" style="left: ([\d.]+)%', bars)
    by_genre = dict(zip(classifier.decisions.labels, classifier.decisions.thresholds, strict=True))
    assert [float(mark) for mark in marks] == [
        pytest.approx(100 * by_genre[name], abs=0.051) for name, _ in rows
    ]
    assert all(genre in reading for genre in film.genres)


def test_a_borderline_decision_is_explained_and_a_clear_one_is_not() -> None:
    thresholds = {"Comedy": 0.40, "Horror": 0.50, "Western": 0.30}
    film = Prediction({"Horror": 0.504}, {"Comedy": 0.37, "Horror": 0.504, "Western": 0.1})
    (text,) = app.borderline_cases(film, thresholds)
    assert text.splitlines()[2:] == [
        "- Horror: 0.50 reaches its threshold of 0.50 by 0.004. Of 100 test films with this "
        "probability, about 50 have the genre.",
        "- Comedy: 0.37 misses its threshold of 0.40 by 0.030. Of 100 test films with this "
        "probability, about 37 have the genre.",
    ]
    assert app.borderline_cases(Prediction({}, {"Western": 0.1}), thresholds) == []


def test_a_genre_that_is_given_below_its_threshold_is_explained() -> None:
    film = Prediction({"Comedy": 0.37}, {"Comedy": 0.37, "Horror": 0.2})
    thresholds = {"Comedy": 0.40, "Horror": 0.50}
    assert "**Comedy** is given as the most probable" in app.decision(film, thresholds, True)
    assert "No genre" in app.decision(Prediction({}, film.probabilities), thresholds, False)


def test_empty_short_truncated_and_huge_plots_are_answered_with_a_note(
    classifier: GenreClassifier,
) -> None:
    for empty in ("", "  \n ", "<br>"):
        bars, reading = app.answer(classifier, "Jaws", empty)
        assert "Write a plot first" in bars and reading == ""
    assert "Not a usual plot" in app.answer(classifier, "", "ghost")[1]
    # 62 tokens of which the model reads 32, the first and the last of them its own.
    words = OTHER_WORDS * 3
    text = app.answer(classifier, "", " ".join(words))[1]
    assert "reads 32 tokens; this text has 62." in text
    assert f"truncated after `… {' '.join(words[24:30])}`" in text
    assert "Very long plot" not in text
    start = time.perf_counter()
    bars, text = app.answer(classifier, "", "the ghost & the sheriff " * 200_000)
    assert time.perf_counter() - start < 3
    assert "Only the first 3,200 characters were processed" in text
    assert given(bars) == list(classifier(["the ghost & the sheriff " * 300])[0].genres)


def test_what_is_uploaded_is_a_space_that_names_its_model(staged: Path) -> None:
    card = SpaceCard.load(staged / "README.md")
    front = card.data.to_dict()
    assert front["models"] == ["tester/movie-genres"]
    assert app.named_model(staged / "README.md") == "tester/movie-genres"
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    assert len(front["short_description"]) <= 60  # the Hub's limit
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (staged / "requirements.txt").read_text(), re.M))
    assert pins.pop("gradio") == front["sdk_version"]
    ours = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
    assert pins == {name: ours[name] for name in pins}
    files = [p for p in staged.rglob("*") if p.is_file()]
    assert all(any(p.relative_to(staged).match(pattern) for pattern in SPACE_FILES) for p in files)
    assert not (staged / "space").exists()


def test_a_space_has_the_wings_that_prediction_needs_and_no_other(staged: Path) -> None:
    folders = {path.name for path in (staged / "movie_genres").iterdir() if path.is_dir()}
    assert folders == {"genres", "reading", "texts", "model", "decisions", "inference"}
    for path in (staged / "movie_genres").rglob("*.py"):
        original = ROOT / path.relative_to(staged)
        assert path.read_bytes() == original.read_bytes()


def with_dependencies(names: Iterable[str]) -> set[str]:
    """Distributions, and all that they require without extras."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        waiting += [
            canonicalize_name(requirement.name)
            for requirement in needed
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


def test_the_page_runs_with_its_requirements_alone_and_imports_each_of_them(
    staged: Path, finished_run: Path, classifier: GenreClassifier
) -> None:
    listed = re.findall(r"^([\w-]+)==", (staged / "requirements.txt").read_text(), re.M)
    allowed = with_dependencies(listed)
    modules = {
        module: {canonicalize_name(owner) for owner in owners}
        for module, owners in packages_distributions().items()
    }
    absent = [module for module, owners in modules.items() if not owners & allowed]
    assert {"sklearn", "datasets", "accelerate", "psutil", "matplotlib"} <= set(absent)
    program = f"""
import json, sys
sys.modules.update(dict.fromkeys({absent!r}))  # as if they were not installed
import app
classifier = app.GenreClassifier.from_pretrained({str(finished_run / "model")!r})
genres = list(classifier([{PLOT!r}])[0].genres)
print(json.dumps([genres, [name for name, module in sys.modules.items() if module]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=staged, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    genres, imported = json.loads(done.stdout.splitlines()[-1])
    assert genres == list(classifier([PLOT])[0].genres)
    used = set().union(*(modules.get(name, set()) for name in imported))
    assert {canonicalize_name(name) for name in listed} - used == set()


def test_a_space_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\n" + yaml.dump({"sdk": "gradio"}) + "---\n")
    with pytest.raises(InputError, match="names no model"):
        app.named_model(tmp_path / "README.md")


def test_a_missing_gradio_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "gr", None)
    with pytest.raises(InputError, match="needs gradio: .* -r space/requirements.txt"):
        app.main(["--model", "tester/movie-genres"])


@contextmanager
def served(staged: Path, model: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The page's address, and whether its server has tried to reach anything outside."""
    with socket.socket() as proxy, socket.socket() as free:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        outside = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        server = subprocess.Popen(
            [sys.executable, "app.py", "--model", str(model)],
            cwd=staged, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {
                "GRADIO_SERVER_PORT": str(port), "HTTP_PROXY": outside, "HTTPS_PROXY": outside,
                "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1",
            },
        )  # fmt: skip

        def went_outside() -> bool:
            try:
                proxy.accept()
            except BlockingIOError:
                return False
            return True

        try:
            assert server.stdout is not None
            for line in server.stdout:
                if "Running on local URL" in line:
                    break
            else:
                pytest.fail("the page did not start")
            yield f"http://127.0.0.1:{port}/", went_outside
        finally:
            server.terminate()
            server.wait()


def test_a_plot_that_is_typed_in_a_browser_gets_its_genres_with_no_request_to_elsewhere(
    staged: Path, finished_run: Path, classifier: GenreClassifier
) -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs requirements-dev.txt")
    with served(staged, finished_run / "model") as (address, went_outside):
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(60_000)
            requested: list[str] = []
            page.on("request", lambda request: requested.append(request.url))
            page.goto(address)
            page.locator("#plot textarea").press_sequentially(PLOT)
            page.locator("#find").click()
            page.locator("#bars .genre").first.wait_for()
            typed = page.locator("#bars .chips span").all_inner_texts()
            reading = page.locator("#reading").inner_text()
            page.get_by_text(app.EXAMPLES[1][0], exact=True).click()
            shown = classifier([app.EXAMPLES[1][1]], [app.EXAMPLES[1][0]])[0]
            page.locator(f'#bars .genre[title*="{first_value(shown)}"]').wait_for()
            example = page.locator("#bars .chips span").all_inner_texts()
            browser.close()
        assert not went_outside()
    assert typed == list(classifier([PLOT])[0].genres)
    assert all(genre in reading for genre in typed)
    assert example == list(shown.genres)
    local = (address, "data:", "blob:")
    assert [url for url in requested if not url.startswith(local)] == []


def first_value(film: Prediction) -> str:
    """How the page writes a film's first probability, as a mark of its answer."""
    genre = next(iter(film.probabilities))
    return f"{genre}: {film.probabilities[genre]:.3f}"
