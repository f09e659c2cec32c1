"""The composition of a text is one thing: in preparation, in the model's folder and in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import made_up_films, write_csv

import finetune
import predict
import prepare_dataset
from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.preparation.loading import load_prepared
from movie_genres.texts.fields import (
    DEFAULT_FIELDS,
    TextFields,
    flatten,
    mask_names,
    named_genres,
)

FIELDS = TextFields(("title", "plot", "tagline", "key_words"), ("Crime", "Film Noir"))


def test_fields_follow_their_names_and_empty_ones_are_left_out() -> None:
    plain = TextFields(FIELDS.names)
    values = {"title": "Jaws", "plot": "A shark", "tagline": "Swim!", "key_words": "sea, fin"}
    assert plain.compose(values) == "Jaws. A shark. Tagline: Swim! Key words: sea, fin"
    assert plain.compose({"plot": "A shark.", "key_words": "sea"}) == "A shark. Key words: sea"
    assert DEFAULT_FIELDS.compose(values) == "Jaws. A shark"
    assert DEFAULT_FIELDS.compose({"plot": "A shark"}) == "A shark"


@pytest.mark.parametrize("masked", [(), ("Western",)])
@pytest.mark.parametrize("title", ["Jaws", "Who?", "A Western", "x", ""])
def test_a_text_without_its_title_is_that_of_a_film_that_has_none(
    title: str, masked: tuple[str, ...]
) -> None:
    fields = TextFields(("title", "plot"), masked)
    text = fields.compose({"title": title, "plot": "Jaws. A western shark x."})
    wanted = fields.compose({"plot": "Jaws. A western shark x."})
    assert fields.without_title(text, title) == wanted


def test_lists_of_every_kind_are_flattened() -> None:
    wanted = "Ann Lee, Bo & Roe"
    for value in (
        ["Ann Lee", "Bo &amp; Roe"],
        [{"name": "Ann Lee", "id": 1}, {"name": "Bo & Roe"}],
        "[{'cast_id': 1, 'name': 'Ann Lee'}, {'name': 'Bo & Roe'}]",
        '["Ann Lee", "Bo & Roe"]',
        "Ann Lee|Bo & Roe",
        "Ann Lee, Bo & Roe",
    ):
        assert flatten(value) == wanted
    assert flatten(None) == flatten("[]") == ""
    assert flatten("[not a list") == "[not a list"


def test_whole_words_of_genre_names_are_masked_and_found() -> None:
    text = "A crime of film noir, crimes and CRIME"
    assert mask_names(text, FIELDS.masked) == "A ___ of ___, crimes and ___"
    assert named_genres(text, FIELDS.masked) == {"crime", "film noir"}
    assert FIELDS.compose({"plot": "A crime."}) == "A ___."


def test_a_composition_survives_json_and_another_thing_is_refused() -> None:
    assert TextFields.from_json(json.loads(json.dumps(FIELDS.to_json())), "x") == FIELDS
    assert TextFields.from_json(None, "x") == DEFAULT_FIELDS
    for stored in ("plot", {"names": "plot", "masked": []}, {"names": [1], "masked": []}, {}):
        with pytest.raises(InputError, match="the text fields in the model are none"):
            TextFields.from_json(stored, "the model")


@pytest.fixture(scope="module")
def films_with_fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        film | {"Tagline": f"A night of {film['genres']}", "cast": "['Ann Lee', 'Bo Roe']"}
        for film in made_up_films(120)
    ]
    return write_csv(tmp_path_factory.mktemp("fields") / "films.csv", rows)


def test_the_model_reads_rows_as_they_were_prepared(
    films_with_fields: Path, tiny_arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    source = ["--source", str(films_with_fields), "--output-dir", str(data)]
    prepare_dataset.main(
        [*source, "--min-genre-count", "5", "--mask-genre-names",
         "--text-fields", "title", "overview", "tagline", "cast"]
    )  # fmt: skip
    prepared = load_prepared(data)
    film = prepared.splits["test"][0]
    assert film["text"].endswith(" Cast: Ann Lee, Bo Roe")
    assert "Tagline: A night of ___" in film["text"]
    assert prepared.report["genre_named_in"]["tagline"] == 1.0
    assert prepared.plots("test")[0] == film["plot"]
    assert "`plot` is the plot alone" in (data / "README.md").read_text(encoding="utf-8")
    finetune.main([*tiny_arguments(run), "--dataset-dir", str(data), "--probe-c", "0.3"])
    classifier = GenreClassifier.from_pretrained(str(run / "model"))
    assert classifier.fields.to_json() == prepared.report["text_fields"]
    rows = {film["id"]: film for film in made_up_films(120)}
    wanted = classifier.probabilities([film["text"]])[0]
    same = rows[film["id"]] | {
        "tagline": f"A night of {rows[film['id']]['genres']}", "Cast": ["Ann Lee", "Bo Roe"]
    }  # fmt: skip
    other = {"title": film["title"], "overview": same["overview"]}
    exact, bare = classifier([same, other])
    assert list(exact.probabilities.values()) == pytest.approx(wanted, abs=1e-5)
    assert list(bare.probabilities.values()) != pytest.approx(wanted, abs=1e-5)
    output = tmp_path / "genres.jsonl"
    predict.main(
        ["--model", str(run / "model"), "--input", str(films_with_fields), "--output", str(output)]
    )
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    number = int(film["id"]) - 1000
    assert list(lines[number]["probabilities"].values()) == pytest.approx(wanted, abs=1e-5)
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "from its title, plot, tagline and cast." in card
    assert "`Title. Plot. Tagline: … Cast: …`" in card


def test_a_field_that_names_the_genre_can_be_left_out(
    films_with_fields: Path, tmp_path: Path
) -> None:
    prepare_dataset.main(
        ["--source", str(films_with_fields), "--output-dir", str(tmp_path / "data"),
         "--min-genre-count", "5", "--drop-leaking-fields", "0.2",
         "--text-fields", "title", "overview", "tagline", "cast"]
    )  # fmt: skip
    prepared = load_prepared(tmp_path / "data")
    assert prepared.report["text_fields"]["names"] == ["title", "plot", "cast"]
    assert "night of" not in prepared.splits["train"][0]["text"]
