from __future__ import annotations

import numpy as np

from movie_genres.evaluation.mistakes import PER_GENRE, render_mistakes


def test_the_surest_mistakes_come_first_and_unknown_labels_are_none() -> None:
    y_true = np.array([[0, 1], [0, 1], [1, 0], [np.nan, 1]])
    y_prob = np.array([[0.7, 0.9], [0.9, 0.2], [0.1, 0.1], [0.99, 0.8]])
    page = render_mistakes(["War", "Noir"], list("abcd"), y_true, (y_prob >= 0.5) * 1, y_prob)
    war, noir = page.split("## ")[1:]
    assert [line for line in war.splitlines() if line.startswith(("| given", "| missed"))] == [
        "| given wrongly | 0.90 | b | Noir | War |",
        "| given wrongly | 0.70 | a | Noir | War, Noir |",
        "| missed | 0.10 | c | War | nothing |",
    ]
    assert "| missed | 0.20 | b | Noir | War |" in noir


def test_the_page_stays_short_and_names_cannot_break_its_tables() -> None:
    y_prob = np.linspace(0.6, 0.9, 20)[:, None]
    page = render_mistakes(["War"], ["a|b\nc"] * 20, np.zeros((20, 1)), np.ones((20, 1)), y_prob)
    rows = [line for line in page.splitlines() if line.startswith("| given")]
    assert len(rows) == PER_GENRE
    assert rows[0] == "| given wrongly | 0.90 | a\\|b c | nothing | War |"
    nothing_wrong = render_mistakes(
        ["War"], ["a"], np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))
    )
    assert "##" not in nothing_wrong
