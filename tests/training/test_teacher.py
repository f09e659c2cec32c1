"""The teacher and its soft labels."""

from __future__ import annotations

import numpy as np
from datasets import Dataset

from movie_genres.training.losses import UNKNOWN
from movie_genres.training.teacher import teacher_probabilities, with_soft_labels


def test_a_teacher_has_not_seen_the_labels_of_the_film_that_it_judges() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((200, 2)) < 0.5).astype(float)
    # The first genre is in the words; the second can only be learnt by heart, film by film.
    texts = [
        f"{'ghost' if row[0] else 'wedding'} unique{number} unique{number} film"
        for number, row in enumerate(y)
    ]
    probabilities = teacher_probabilities(texts, rng.normal(size=(200, 6)), y)
    assert probabilities.dtype == np.float32
    right = (probabilities > 0.5) == y
    assert right[:, 0].all()
    assert 0.3 < right[:, 1].mean() < 0.7
    assert np.abs(probabilities[:, 1] - 0.5).max() < 0.2  # and it says so


def test_a_teacher_knows_what_either_its_words_or_its_embeddings_tell() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((300, 2)) < 0.5).astype(float)
    texts = ["ghost cellar" if row[0] else "wedding prank" for row in y]
    embeddings = rng.normal(size=(300, 8))
    embeddings[:, 3] += 3 * y[:, 1]
    probabilities = teacher_probabilities(texts, embeddings, y)
    right = (probabilities > 0.5) == y
    assert right[:, 0].mean() > 0.99
    assert right[:, 1].mean() > 0.85


def test_a_teacher_does_not_listen_to_embeddings_that_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((300, 1)) < 0.5).astype(float)
    texts = ["ghost cellar" if row[0] != (rng.random() < 0.1) else "wedding prank" for row in y]
    words = teacher_probabilities(texts, np.zeros((300, 2)), y)
    both = teacher_probabilities(texts, rng.normal(size=(300, 30)), y)
    assert np.abs(words - both).mean() < 0.02


def test_unknown_labels_do_not_matter_to_a_teacher_and_stay_unknown() -> None:
    y = np.tile([[1.0, 0.0], [0.0, 1.0]], (50, 1))
    texts = ["ghost cellar", "wedding prank"] * 50
    y[:10, 0] = np.nan
    probabilities = teacher_probabilities(texts, np.zeros((100, 2)), y)
    assert (probabilities[::2, 0] > 0.9).all()
    labels = np.nan_to_num(y, nan=UNKNOWN)
    films = Dataset.from_dict({"input_ids": [[1]] * 100, "labels": labels.tolist()})
    mixed = np.array(with_soft_labels(films, probabilities, 0.25)["labels"])
    assert (mixed[:10, 0] == UNKNOWN).all()
    known = labels != UNKNOWN
    assert np.allclose(mixed[known], 0.75 * labels[known] + 0.25 * probabilities[known])
