"""Which sentences speak for a film's genres."""

from __future__ import annotations

from pathlib import Path

import pytest

import predict
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.explanation import Explanation

GHOST = "The ghost and the blood curse the cellar."
SHERIFF = "The sheriff finds the saloon in the desert."
FRIEND = "A friend walks home."


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> GenreClassifier:
    return GenreClassifier.from_pretrained(str(finished_run / "model"), threshold=0.0)


def test_a_change_is_the_probability_with_a_sentence_minus_without_it(
    classifier: GenreClassifier,
) -> None:
    plot = f"{GHOST} {SHERIFF} {FRIEND}"
    explanation = classifier.explain(plot, "Film 1")
    assert explanation.sentences == (GHOST, SHERIFF, FRIEND)
    films = [plot, f"{SHERIFF} {FRIEND}", f"{GHOST} {FRIEND}", f"{GHOST} {SHERIFF}"]
    whole, *rest = (film.probabilities for film in classifier(films, ["Film 1"] * 4))
    assert explanation.prediction.probabilities == pytest.approx(whole, abs=1e-5)
    for genre, changes in explanation.changes.items():
        expected = [whole[genre] - left[genre] for left in rest]
        assert changes == pytest.approx(expected, abs=1e-5)
    most = max(explanation.changes, key=lambda genre: max(explanation.changes[genre]))
    best = explanation.reasons(most)[0]
    assert best.change == max(explanation.changes[most]) >= 0.01
    assert best.sentence == explanation.sentences[explanation.changes[most].index(best.change)]
    assert explanation == classifier.explain({"title": "Film 1", "overview": plot})


def test_only_sentences_that_speak_for_a_genre_are_its_reasons(
    classifier: GenreClassifier,
) -> None:
    film = classifier(["the ghost"])[0]
    explanation = Explanation(film, ("A.", "B.", "C.", "D."), {"Horror": (0.2, -0.4, 0.3, 0.009)})
    assert explanation.reasons("Horror") == [("C.", 0.3), ("A.", 0.2)]
    assert explanation.reasons("Horror", most=1) == [("C.", 0.3)]
    assert explanation.reasons("Comedy") == []


def test_a_truncated_sentence_does_not_move_in_for_the_one_that_is_left_out(
    classifier: GenreClassifier,
) -> None:
    read = "ghost " * 14 + "dies. " + "Blood " + "curse " * 14
    explanation = classifier.explain(f"{read.strip()}. {SHERIFF} {SHERIFF}")
    assert len(explanation.sentences) == 2
    assert "sheriff" not in " ".join(explanation.sentences)
    assert explanation.prediction == classifier([f"{read.strip()}. {SHERIFF} {SHERIFF}"])[0]


@pytest.mark.parametrize("plot", ["the ghost", "", "No overview found."])
def test_a_plot_of_one_part_has_no_changes(classifier: GenreClassifier, plot: str) -> None:
    explanation = classifier.explain(plot)
    assert explanation.changes == {}
    assert explanation.prediction == classifier([plot])[0]
    assert bool(explanation.prediction.genres) == (plot == "the ghost")


def test_predict_prints_the_sentences_under_each_genre(
    finished_run: Path, capsys: pytest.CaptureFixture[str], classifier: GenreClassifier
) -> None:
    arguments = ["--model", str(finished_run), "--threshold", "0", "--explain"]
    assert predict.main([*arguments, f"{GHOST} {SHERIFF} {FRIEND}", "the ghost"]) == 0
    printed = capsys.readouterr().out.splitlines()
    explanation = classifier.explain(f"{GHOST} {SHERIFF} {FRIEND}")
    expected = []
    for genre, probability in explanation.prediction.genres.items():
        expected.append(f"  {genre:<18} {probability:.2f}")
        reasons = explanation.reasons(genre)
        expected += [f"    {reason.change:+.2f}  {reason.sentence}" for reason in reasons]
        expected += [] if reasons else ["    no sentence alone makes a difference"]
    assert printed[1 : len(expected) + 1] == expected
    assert printed[-1] == "  one sentence: there is nothing to leave out"
