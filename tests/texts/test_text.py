from __future__ import annotations

import time

import pytest

from movie_genres.texts.text import clean_text, compose_text, plot_defect


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A cafÃ© owner", "A café owner"),
        ("Tom &amp; Ann &lt;i&gt;run&lt;/i&gt;", "Tom & Ann run"),
        ("A [[Cape Town|town]] by [[night]]{{citation needed}}", "A town by night"),
        ("He wins.[3] She leaves[citation needed].", "He wins. She leaves."),
        ("Ann ([[Lee Roe  waits", "Ann (Lee Roe waits"),
        ("See http://example.org/a?b=1 now", "See now"),
        ("zero\u200bwidth\ufeff and\ttabs\r\nlines", "zero width and tabs lines"),
        ("Melanie , a cop ( ) , runs .", "Melanie, a cop, runs."),
        ("3 < 5 and 7 > 2", "3 < 5 and 7 > 2"),
        ("a ( ( ) ) b &amp;amp;lt;i&amp;amp;gt;c", "a b c"),
    ],
)
def test_text_is_cleaned_and_cleaning_twice_changes_nothing(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean
    assert clean_text(clean) == clean


def test_placeholders_and_stubs_are_no_plots() -> None:
    assert plot_defect("") == "no plot"
    assert plot_defect("No overview found.") == "placeholder instead of a plot"
    assert plot_defect("Add a Plot") == "placeholder instead of a plot"
    assert plot_defect("Two words") == "plot of fewer than 3 words"
    assert plot_defect("A man waits.") is None


def test_the_title_precedes_the_plot_if_there_is_one() -> None:
    assert compose_text("Jaws", "A shark.") == "Jaws. A shark."
    assert compose_text("", "A shark.") == "A shark."


def test_cleaning_takes_no_longer_for_an_odd_character_at_the_end_of_a_long_text() -> None:
    text = "a man waits " * 400 + "\u2019"
    started = time.perf_counter()
    clean_text(text)
    assert time.perf_counter() - started < 5
