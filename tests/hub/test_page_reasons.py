"""The demo page says why, how good its model is, and what holds for short texts."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from movie_genres.inference.classifier import GenreClassifier, Prediction
from movie_genres.inference.explanation import Explanation
from space import app

pytest.importorskip("gradio", reason="needs: pip install -r space/requirements.txt")
PLOT = "The ghost & the blood curse [the] cellar. The sheriff finds the saloon. A friend jokes."


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> GenreClassifier:
    return GenreClassifier.from_pretrained(str(finished_run / "model"), threshold=0.0)


def test_the_page_shows_the_sentences_that_speak_for_each_given_genre(
    classifier: GenreClassifier,
) -> None:
    why = app.answer(classifier, "", PLOT)[0].split('class="why"')[1]
    explanation = classifier.explain(PLOT)
    shown = re.findall(r"<b>(.*?)</b>|<i>([^<]+)</i><q>(.*?)</q>", why)
    expected = []
    for genre in explanation.prediction.genres:
        expected.append((genre, "", ""))
        expected += [("", f"{r.change:+.2f}", r.sentence) for r in explanation.reasons(genre)]
    assert [tuple(map(unescape, entry)) for entry in shown] == expected
    assert len(expected) > len(explanation.prediction.genres) > 0


def test_sentences_are_shown_as_text() -> None:
    film = Prediction({"Horror & <i>": 0.9}, {"Horror & <i>": 0.9})
    parts = ("<script>x</script> & so.", "End.")
    why = app.draw_reasons(Explanation(film, parts, {"Horror & <i>": (0.5, -0.1)}))
    assert "<script>" not in why and "&lt;script&gt;x&lt;/script&gt; &amp; so." in why
    assert "<b>Horror &amp; &lt;i&gt;</b>" in why and "End." not in why


def test_a_film_without_genres_or_of_one_sentence_has_no_reasons(
    classifier: GenreClassifier,
) -> None:
    film = classifier(["the ghost"])[0]
    assert app.draw_reasons(Explanation(Prediction({}, {"Horror": 0.1}), ("A.", "B."), {})) == ""
    assert "one sentence" in app.draw_reasons(Explanation(film, ("the ghost",), {}))
    weak = Explanation(film, ("A.", "B."), dict.fromkeys(film.genres, (0.001, -0.2)))
    assert app.draw_reasons(weak).count("no sentence alone makes a difference") == len(film.genres)


def test_a_short_text_is_called_short(classifier: GenreClassifier) -> None:
    assert "**Short text.**" in app.answer(classifier, "", PLOT)[1]
    assert "**Short text.**" not in app.answer(classifier, "", f"{PLOT} " * 4)[1]
    assert "**Short text.**" not in app.answer(classifier, "", "ghost")[1]  # "Not a usual plot"


def test_the_page_says_how_good_its_model_is_by_the_card(
    finished_run: Path, tmp_path: Path
) -> None:
    said = app.quality(str(finished_run / "model"))
    assert app.quality(str(finished_run)) == said
    card = (finished_run / "README.md").read_text(encoding="utf-8")
    found = [
        re.search(rf"value: ([\d.]+)\n\s+name: {name}, micro", card)
        for name in ("precision", "recall", "F1")
    ]
    precision, recall, f1 = (float(match[1]) for match in found if match)
    assert f"{precision:.0%} of the genres that it gave were right" in said
    assert f"it gave {recall:.0%} of the genres that the films have (F1 {f1:.2f})" in said
    alone = shutil.copytree(finished_run / "model", tmp_path / "alone" / "model")
    assert app.quality(str(alone)) == ""
    (alone / "README.md").write_text("---\nlicense: mit\n---\nA card without scores.\n")
    assert app.quality(str(alone)) == ""


def test_no_name_of_a_genre_is_cut_on_a_narrow_screen() -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs requirements-dev.txt")
    names = ["Science Fiction", "Supercalifragilistic Coming-of-Age Comedies", "War"]
    film = Prediction(
        {names[0]: 0.9, names[1]: 0.8}, dict(zip(names, (0.9, 0.8, 0.1), strict=True))
    )
    bars = app.draw_bars(film, dict.fromkeys(names, 0.5))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 320, "height": 600})
        page.set_content(f"<style>{app.CSS}</style>{bars}")
        cut = page.evaluate(
            "[...document.querySelectorAll('.name, .chips span')].filter(e => e.scrollWidth > "
            "e.clientWidth || getComputedStyle(e).textOverflow == 'ellipsis').length"
        )
        width = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert (cut, width) == (0, 320)
