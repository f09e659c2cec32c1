"""What the card of a model says about its origin when it is judged or tuned on other data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import made_up_films, prepare, write_csv

import evaluate_model
from movie_genres.errors import InputError
from movie_genres.hub.publication import stage_run

NAME = "tester/movie-genres"
BASE = "sentence-transformers/all-MiniLM-L6-v2"


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def known_origin(run: Path) -> None:
    """As if the encoder had been one of known origin."""
    edit_json(
        run / "model" / "config.json",
        lambda config: config["provenance"].update(base_model=BASE, license="apache-2.0"),
    )


@pytest.fixture
def retuned(run: Path, tmp_path: Path) -> Callable[[], Path]:
    """Tune the run's model on other data; the folder of the report."""

    def tune() -> Path:
        source = write_csv(tmp_path / "other.csv", made_up_films(150))
        assert prepare(source, tmp_path / "other") == 0
        common = ["--model", str(run / "model"), "--dataset-dir", str(tmp_path / "other")]
        folder = tmp_path / "retuned"
        assert evaluate_model.main([*common, "--output-dir", str(folder), "--retune"]) == 0
        return folder

    return tune


def test_a_run_keeps_its_origin_in_the_model(finished_run: Path, tiny_encoder: Path) -> None:
    config = json.loads((finished_run / "model" / "config.json").read_text(encoding="utf-8"))
    card = json.loads((finished_run / "metrics.json").read_text(encoding="utf-8"))["card"]
    kept = config["provenance"]
    assert kept["origin"] == f"Fine-tuned from `{tiny_encoder.name}` on the file `films.csv`"
    assert kept["trained_on"] == "films.csv"
    data = {"data": "the file `films.csv`; licence of the texts: unknown"}
    assert kept["training"] == data | card["training"]


def test_a_model_tuned_on_other_data_is_published_with_its_origin(
    check_in_this_process: None, run: Path, retuned: Callable[[], Path], tmp_path: Path
) -> None:
    known_origin(run)
    staged = stage_run(retuned(), NAME, tmp_path / "staged")
    staged.check()
    card = staged.files["README.md"].read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["base_model"], front["license"]) == (BASE, "apache-2.0")
    assert (
        "` on the file `films.csv`; calibration and thresholds fitted again on the file "
        "`other.csv`." in card
    )
    assert "- epochs: 2, best checkpoint" in card
    assert "- data: the file `films.csv`; licence of the texts: unknown" in card
    assert "Sentence-{BERT}" in card
    for path in staged.files.values():
        assert str(tmp_path).encode() not in path.read_bytes(), path
    # Tuned again, it still says what it was trained on.
    kept = json.loads(staged.files["config.json"].read_text(encoding="utf-8"))["provenance"]
    assert kept["trained_on"] == "films.csv" and kept["base_model"] == BASE
    assert kept["origin"].endswith("fitted again on the file `other.csv`")


def forget(run: Path) -> None:
    edit_json(run / "model" / "config.json", lambda config: config.pop("provenance"))


def test_a_model_of_which_nothing_is_known_is_judged_but_not_published(
    run: Path, retuned: Callable[[], Path], tmp_path: Path
) -> None:
    forget(run)
    folder = retuned()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Nothing is recorded about the training of this model." in card
    assert str(tmp_path) not in card
    with pytest.raises(InputError, match="nothing says how .*; publish the run that trained it"):
        stage_run(folder, NAME, tmp_path / "staged")


def test_a_report_of_an_earlier_version_that_knows_only_a_path_is_refused(
    run: Path, tmp_path: Path
) -> None:
    def only_a_path(metrics: dict[str, Any]) -> None:
        metrics["card"]["training"] = {"model": "`/home/someone/run/model`, not trained further"}

    edit_json(run / "metrics.json", only_a_path)
    (run / "README.md").unlink()
    with pytest.raises(InputError, match="nothing says how its model was trained"):
        stage_run(run, NAME, tmp_path / "staged")


def test_a_model_by_its_hub_id_is_its_own_base(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(run)
    shutil.copytree(run / "model", tmp_path / "copy")
    model, tokenizer = evaluate_model.load_model(str(tmp_path / "copy"))
    text_model = evaluate_model.TextModel(model, tokenizer, 32)
    arguments = ["--model", "someone/genres", "--dataset-dir", ".", "--retune"]
    args = evaluate_model.parse_args([*arguments, "--output-dir", str(tmp_path / "out")])
    metadata = evaluate_model.model_metadata(args, text_model)
    assert metadata.base_model == "someone/genres"
    assert metadata.origin == (
        "The model `someone/genres`; calibration and thresholds fitted again on"
    )
    assert metadata.training == {"model": "`someone/genres`, not trained further"}


def test_a_report_and_a_model_alone_are_refused_with_what_to_publish_instead(
    run: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"a model alone, publish its run: {run.resolve()}$"):
        stage_run(run / "model", NAME, tmp_path / "staged")
    shutil.rmtree(run / "model")
    with pytest.raises(InputError, match="a report has no model, publish the run that it is abo"):
        stage_run(run, NAME, tmp_path / "staged")
