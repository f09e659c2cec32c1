"""What is a plot, what a title, and what only stands where one should be."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import made_up_films, prepare, write_csv

from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.preparation.loading import load_prepared
from movie_genres.texts.fields import DEFAULT_FIELDS
from movie_genres.texts.language import languages_of
from movie_genres.texts.placeholders import is_placeholder
from movie_genres.texts.text import as_text, clean_text, count_words, plot_defect

PARTS = ["A man says 'no'.", 'She asks: "why?"', "They\nleave."]


@pytest.mark.parametrize(
    "written",
    [
        PARTS,
        tuple(PARTS),
        json.dumps(PARTS),
        f"  {json.dumps(PARTS, indent=1)} ",
        repr(PARTS),
        str(np.array(PARTS, dtype=object)),
        repr([*PARTS, ""]),
        json.dumps([*PARTS, None]),
    ],
)
def test_a_list_is_one_text_however_it_is_written(written: object) -> None:
    assert clean_text(as_text(written)) == " ".join(" ".join(PARTS).split())
    assert DEFAULT_FIELDS.clean({"plot": written})["plot"] == " ".join(" ".join(PARTS).split())


@pytest.mark.parametrize(
    "text", ["[REC] is filmed again.", "[1, 2, 3]", "['cut off", '["a", 1]', "[a] man ['waits']"]
)
def test_what_only_begins_like_a_list_stays_as_it_is(text: str) -> None:
    assert as_text(text) == text


@pytest.mark.parametrize(
    "cell", ["nan", "NaN", "N/A", "None", "\\N", "null", " NULL ", "<NA>", "", None, float("nan"),
             [], "[]", ["None", ""]]
)  # fmt: skip
def test_a_missing_value_is_empty_in_plots_and_titles(cell: object) -> None:
    assert DEFAULT_FIELDS.clean({"title": cell, "plot": cell}) == {"title": "", "plot": ""}


@pytest.mark.parametrize("title", ["Nana", "The None", "N", "Nothing", "[REC]"])
def test_titles_that_resemble_a_missing_value_are_kept(title: str) -> None:
    assert as_text(title) == title


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("ex\u00adam\u00adple", "example"),
        ("exam&shy;ple", "example"),
        ("exam\u00ad\n  ple of it", "example of it"),
        ("a wo\u200crd and a\u2060b \u202aleft\u202c", "a word and ab left"),
        ("two\u200bwords", "two words"),
    ],
)
def test_a_soft_hyphen_splits_no_word(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "plot",
    [
        "No plot summary available.", "Plot details are kept under wraps", "Synopsis coming soon.",
        "Plot details are currently being kept under wraps.", "The plot is unknown at this time.",
        "It looks like we don't have a Plot Summary for this title yet.",
        "It looks like we don’t have a synopsis for this title yet. Be the first to contribute! "
        'Just click the "Edit page" button at the bottom of the page.',
        "We don't have an overview translated in English. Help us expand our database by adding "
        "one.",
        "Overview not available in English.", "Plot not available", "Movie plot unavailable",
        "No overview found.", "No overview yet.", "Add a Plot", "Add a plot »", "Plot: TBA", "tba",
        "To be announced.", "Plot is to be announced", "Description to be added", "Coming soon!",
        "There is no overview available for this movie.", "Sorry, no description available",
        "[No synopsis]", "Storyline is being kept under wraps.", "See full synopsis »", "#NAME?",
        "Details of the plot are being kept under wraps.", "Sorry, this movie has no overview.",
        "No official synopsis has been released", "Be the first to add a plot.",
        "Currently no description", "No hay sinopsis disponible", "Сюжет не раскрывается",
        "Noch keine Beschreibung vorhanden", "Pas encore de synopsis.",
        "Aucun résumé disponible.", "Pas de synopsis", "Sinopsis no disponible.", "Sin sinopsis",
        "Nous n'avons pas de synopsis en français. Aidez-nous !", "Keine Beschreibung verfügbar.",
        "Trama non disponibile", "Sinopse não disponível", "Описание отсутствует",
        "Нет описания.", "暂无剧情简介。", "あらすじはありません。", "줄거리 없음", "Brak opisu",
    ],
)  # fmt: skip
def test_a_placeholder_is_no_plot(plot: str) -> None:
    assert plot_defect(clean_text(plot)) in ("placeholder instead of a plot", "no plot")
    assert is_placeholder(clean_text(plot)) or not clean_text(plot)


@pytest.mark.parametrize(
    "plot",
    [
        "No plan of the crew survives.", "The story is told by a ghost.", "An unknown man waits.",
        "The plot to kill the king fails.", "No data can be trusted in this city of liars.",
        "No story is ever the same twice.", "The description of a crime leads to its victim.",
        "We don't have a story in common, she says, and the two fall in love.",
        "Soon to be announced as king, he flees.", "The secret is kept under wraps by two nuns.",
        "Without information, a spy waits for his orders.", "The unknown.. returns to town.",
        "Sin and synopsis: a critic falls for a nun.", "Information is sold to the highest bidder.",
    ],
)  # fmt: skip
def test_a_plot_of_similar_words_is_a_plot(plot: str) -> None:
    assert plot_defect(plot) is None


def test_no_text_makes_the_patterns_slow() -> None:
    started = time.perf_counter()
    for text in ("the full " * 33, "plot is " * 37, "no plot is at this time " * 12, "we " * 99):
        is_placeholder(text)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        ("", 0),
        ("A man waits.", 3),
        ("Un été à Paris", 4),
        ("二人の刑事が殺人犯を追う。", 7),
        ("两名侦探追捕一名杀手", 5),
        ("นักสืบสองคน", 6),
        ("두 형사가 범인을 쫓는다", 4),
        ("刑事", 1),
    ],
)
def test_words_are_counted_where_none_are_separated(plot: str, words: int) -> None:
    assert count_words(plot) == words
    assert (plot_defect(plot) is None) == (words >= 3)


def test_a_plot_that_is_a_list_is_joined_in_preparation_and_in_use(
    finished_run: Path, tmp_path: Path
) -> None:
    films = [
        film | {"overview": ["The first part.", film["overview"]], "title": "N/A"}
        for film in made_up_films(60)
    ]
    source = tmp_path / "films.json"
    source.write_text(json.dumps(films), encoding="utf-8")
    assert prepare(source, tmp_path / "data") == 0
    texts = load_prepared(tmp_path / "data").texts("test")
    assert all(text.startswith("The first part. ") and text.endswith(".") for text in texts)
    classifier = GenreClassifier.from_pretrained(str(finished_run / "model"))
    as_list, as_written, joined, missing = classifier(
        [{"plot": films[0]["overview"]}, json.dumps(films[0]["overview"]),
         " ".join(films[0]["overview"]), "nan"],
        ["N/A", None, "", "Ghost"],
    )  # fmt: skip
    # Rows of one batch may differ in their last bits, depending on the processor.
    for other in (as_written, joined):
        assert other.probabilities == pytest.approx(as_list.probabilities, abs=1e-5)
    assert missing.genres == {}


@pytest.mark.parametrize("copy", ["genres", "tags", "first"])
def test_the_genres_are_no_text_under_any_name(tmp_path: Path, copy: str) -> None:
    rows = [
        film
        | {
            "tags": json.dumps(film["genres"].split("|")),
            "first": film["genres"].split("|")[0],
            "tagline": f"A night of {film['genres']}",
        }
        for film in made_up_films(60)
    ]
    source = write_csv(tmp_path / "films.csv", rows)
    with pytest.raises(InputError, match=f"column '{copy}' is (the|a copy of the) genres"):
        prepare(source, tmp_path / "data", "--text-fields", "overview", copy)
    assert prepare(source, tmp_path / "data", "--text-fields", "overview", "tagline") == 0
    with pytest.raises(InputError, match="'genres' cannot be both the genres and the text"):
        prepare(source, tmp_path / "data", "--text-column", "genres", "--genre-column", "genres")


ENGLISH = "Two detectives hunt a killer who quotes Dante, and one of them knows him from school."
OTHERS = {
    "ru": "Два детектива ищут убийцу, который цитирует Данте, и один из них знает его со школы.",
    "de": "Zwei Kommissare jagen einen Mörder, der Dante zitiert, und einer kennt ihn von früher.",
    "ja": "二人の刑事がダンテを引用する殺人犯を追うが、一人は彼を学校時代から知っている。",
}


def test_the_languages_of_texts_are_the_common_ones() -> None:
    assert languages_of([ENGLISH] * 99 + [OTHERS["de"]]) == ["en"]
    assert languages_of([ENGLISH] * 6 + [OTHERS["ru"]] * 4) == ["en", "ru"]
    assert [languages_of([text]) for text in OTHERS.values()] == [[code] for code in OTHERS]
    assert languages_of([""]) == []


def test_the_card_says_the_language_that_the_plots_have(tmp_path: Path) -> None:
    rows = [
        film | {"overview": " ".join(random.Random(number).choices(OTHERS["ru"].split(), k=25))}
        for number, film in enumerate(made_up_films(60))
    ]
    assert prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "data") == 0
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert load_prepared(tmp_path / "data").report["language"] == ["ru"]
    assert "language:\n- ru\n" in card.split("\n---")[0] + "\n"
    assert "the plots are in ru: the default encoder was trained on English" in card
