"""From a folder of posters to a model that reads them, by the commands."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import made_up_films, prepare, write_csv
from loopback_hub import LoopbackHub
from made_up_posters import poster
from PIL import Image
from transformers import ViTConfig, ViTModel, pipeline

import evaluate_model
import finetune
import predict
import publish
from movie_genres import GenreClassifier, InputError, load_prepared
from movie_genres.decisions.scores import compute_scores
from movie_genres.evaluation.card import render_card
from movie_genres.files import file_sha256
from movie_genres.hub.publication import stage_run
from movie_genres.hub.subprocess_check import predict_posters_by_name
from movie_genres.posters.fusion import Fusion
from movie_genres.training.run_folder import RunFolder

NAME = "tester/movie-genres"
POSTER_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
WAYS = ("text", "poster", "both")


@pytest.fixture(scope="session")
def poster_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posters of nine films in ten."""
    folder = tmp_path_factory.mktemp("posters")
    for number, film in enumerate(made_up_films(400)):
        if number % 10:
            poster(film).save(folder / f"{film['id']}.png")
    return folder


@pytest.fixture(scope="session")
def with_posters(poster_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder with a column of posters."""
    folder = tmp_path_factory.mktemp("with-posters")
    source = write_csv(folder / "films.csv", made_up_films(400))
    assert prepare(source, folder / "prepared", "--image-dir", str(poster_dir)) == 0
    return folder / "prepared"


@pytest.fixture(scope="session")
def image_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer ViT and the processor of its pictures."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=16, initializer_range=0.3,
    )  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "do_normalize": True,
        "size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "do_rescale": True, "rescale_factor": 1 / 255,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def poster_arguments(
    with_posters: Path, image_encoder: Path, tiny_arguments: Callable[..., list[str]]
) -> Callable[..., list[str]]:
    """Arguments of finetune.py on the films with posters; the second one: with the posters."""

    def arguments(output_dir: Path, *more: str, posters: bool = True) -> list[str]:
        flags = ["--image-model", str(image_encoder)] if posters else []
        return [*tiny_arguments(output_dir, "--dataset-dir", str(with_posters)), *flags, *more]

    return arguments


@pytest.fixture(scope="session")
def poster_run(
    poster_arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a completed tiny run that reads posters."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert finetune.main(poster_arguments(folder)) == 0
    return folder


@pytest.fixture(scope="session")
def text_run(
    poster_arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same run without the posters."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert finetune.main(poster_arguments(folder, posters=False)) == 0
    return folder


def by_label(scores: list[dict[str, float]]) -> dict[str, float]:
    return {str(score["label"]): score["score"] for score in scores}


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def measured(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the test split that have a poster: predictions of the text, and with posters."""
    rows = pd.read_parquet(run / "poster_predictions.parquet")
    return pd.read_parquet(run / "predictions.parquet").iloc[rows["row"]], rows


def test_the_text_part_of_a_run_is_that_of_a_run_without_posters(
    poster_run: Path, text_run: Path
) -> None:
    for name in ("predictions.parquet", "model/model.safetensors", "model/tokenizer.json"):
        assert file_sha256(poster_run / name) == file_sha256(text_run / name)
    without, with_posters = (
        json.loads((run / "model/config.json").read_text()) for run in (text_run, poster_run)
    )
    for config in (without, with_posters):
        del config["provenance"]["training"]["time"]
    fusion = with_posters.pop("poster_fusion")
    assert with_posters == without
    assert set(fusion["text"]) == set(fusion["thresholds"]) == {"Comedy", "Horror", "Western"}
    assert "image_model" not in (text_run / "args.json").read_text()
    assert "posters" not in json.loads((text_run / "metrics.json").read_text())
    assert {path.name for path in poster_run.iterdir()} - {p.name for p in text_run.iterdir()} == {
        "poster_predictions.parquet"
    }


def test_posters_that_show_the_genres_help(
    poster_run: Path, text_run: Path, image_encoder: Path
) -> None:
    metrics = json.loads((poster_run / "metrics.json").read_text())
    posters = metrics["posters"]
    assert set(posters["scores"]) == set(posters["intervals"]) == {*WAYS}
    assert posters["scores"]["poster"]["average_precision_macro"] > 0.9
    assert posters["scores"]["both"]["f1_micro"] >= posters["scores"]["text"]["f1_micro"]
    assert posters["films"]["test"] < metrics["card"]["dataset"]["splits"]["test"]
    assert posters["image_encoder"] == image_encoder.name
    assert "text and poster" in (poster_run / "README.md").read_text()
    assert "poster" not in (text_run / "README.md").read_text()
    assert (poster_run / "README.md").read_text() == render_card(metrics)


def test_the_text_alone_is_judged_at_thresholds_tuned_as_those_of_both(poster_run: Path) -> None:
    metrics, text = read_json(poster_run / "metrics.json"), measured(poster_run)[0]
    fusion = read_json(poster_run / "model/config.json")["poster_fusion"]
    thresholds = [fusion["text_alone"][label] for label in metrics["per_genre"]]
    y_true, y_prob = (np.stack(text[name].tolist()) for name in ("y_true", "probabilities"))
    scores = compute_scores(y_true, (y_prob >= thresholds).astype(np.int8), y_prob)
    assert metrics["posters"]["scores"]["text"] == pytest.approx(scores, abs=1e-6)


def test_a_run_that_is_stopped_while_posters_are_fitted_ends_as_one_that_is_not(
    poster_run: Path,
    poster_arguments: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "tiny"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fusion, "fit", stop)
        finetune.main(poster_arguments(run))
    with pytest.raises(InputError, match=r"metrics.json is missing"):
        stage_run(run, NAME, tmp_path / "staged")
    assert finetune.main(poster_arguments(run)) == 0
    for name in ("poster/config.json", "poster/model.safetensors", "model.safetensors"):
        assert file_sha256(run / "model" / name) == file_sha256(poster_run / "model" / name)
    configs = [read_json(folder / "model/config.json") for folder in (run, poster_run)]
    for config in configs:
        del config["provenance"]["training"]["time"]
    assert configs[0] == configs[1]


def test_nothing_of_the_posters_is_left_when_a_run_starts_afresh(
    poster_run: Path, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(poster_run, tmp_path / "run")))
    run.start(read_json(run.path / "args.json"), overwrite=True)
    assert {path.name for path in run.path.iterdir()} <= {"args.json", "checkpoints", "lock"}


def test_the_poster_model_is_a_plain_image_classifier(poster_run: Path) -> None:
    _, rows = measured(poster_run)
    assert 'pipeline("image-classification", top_k=3)' in (poster_run / "README.md").read_text()
    plain = pipeline("image-classification", model=str(poster_run / "model/poster"), top_k=3)
    labels = list(plain.model.config.label2id)
    for row in rows.iloc[:3].itertuples():
        scores = by_label(plain(Image.open(io.BytesIO(row.image))))
        assert np.allclose([scores[label] for label in labels], row.poster, atol=1e-5)


def test_the_classifier_decides_films_without_a_poster_as_before(
    poster_run: Path, tmp_path: Path
) -> None:
    text, rows = measured(poster_run)
    classifier = GenreClassifier.from_pretrained(str(poster_run))
    films = [{"plot": t.split(". ", 1)[1], "title": t.split(". ", 1)[0]} for t in text["text"][:4]]
    images = [rows["image"].iloc[0], None, rows["image"].iloc[2], None]
    found, before = classifier(films, None, images), classifier(films)
    for number in (1, 3):
        assert found[number] == before[number]
    for number in (0, 2):
        assert np.allclose(
            list(found[number].probabilities.values()), rows["both"].iloc[number], atol=1e-6
        )
    (tmp_path / "0.jpg").write_bytes(images[0])
    for path in (tmp_path / "0.jpg", str(tmp_path / "0.jpg")):
        assert classifier(films[:1], None, [path]) == classifier(films[:1], None, images[:1])
    with pytest.raises(InputError, match="the image of film 1 cannot be used: damaged"):
        classifier(films[:1], None, [b"no picture"])
    with pytest.raises(InputError, match="1 images for 2 films"):
        classifier(films[:2], None, [None])


def test_a_model_without_posters_refuses_them(text_run: Path) -> None:
    classifier = GenreClassifier.from_pretrained(str(text_run))
    with pytest.raises(InputError, match="does not read posters"):
        classifier(["A ghost in the cellar."], None, [b""])


def test_a_model_is_judged_and_tuned_again_with_its_posters(
    poster_run: Path, with_posters: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    def judge(name: str, data: Path, *more: str) -> dict:
        folder = tmp_path / name
        arguments = ["--model", str(poster_run), "--dataset-dir", str(data)]
        assert evaluate_model.main([*arguments, "--output-dir", str(folder), *more]) == 0
        return json.loads((folder / "metrics.json").read_text())

    first = json.loads((poster_run / "metrics.json").read_text())["posters"]
    stored = judge("stored", with_posters)["posters"]
    assert stored["scores"] == first["scores"] and "seconds" in first
    tuned = judge("tuned", with_posters, "--retune")["posters"]
    assert np.allclose(
        [tuned["scores"][way]["f1_micro"] for way in WAYS],
        [first["scores"][way]["f1_micro"] for way in WAYS],
    )
    assert (tmp_path / "tuned/model/poster/config.json").is_file()
    assert "posters" not in judge("text", prepared_folder, "--retune")
    assert "poster_fusion" not in (tmp_path / "text/model/config.json").read_text()


def test_a_report_on_other_data_says_what_the_posters_were_fitted_on(
    poster_run: Path, poster_dir: Path, with_posters: Path, tmp_path: Path
) -> None:
    (tmp_path / "posters").mkdir()
    for identifier in load_prepared(with_posters).splits["test"]["id"]:
        if (path := poster_dir / f"{identifier}.png").exists():
            shutil.copy(path, tmp_path / "posters")
    source, flags = with_posters.parent / "films.csv", ["--image-dir", str(tmp_path / "posters")]
    assert prepare(source, tmp_path / "data", *flags) == 0
    arguments = ["--model", str(poster_run), "--dataset-dir", str(tmp_path / "data")]
    assert evaluate_model.main([*arguments, "--output-dir", str(tmp_path / "again")]) == 0
    found, first = (read_json(run / "metrics.json") for run in (tmp_path / "again", poster_run))
    assert found["posters"]["films"] == first["posters"]["films"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "model/poster' cannot be loaded as an image model"),
        (lambda poster: edit_text(poster / "config.json", "n_posters", "n"), "an earlier version"),
    ],
    ids=["missing", "of an earlier version"],
)
def test_a_model_without_a_whole_poster_model_is_refused_before_the_judging(
    poster_run: Path,
    with_posters: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    shutil.copytree(poster_run / "model", tmp_path / "model")
    damage(tmp_path / "model/poster")
    arguments = ["--model", str(tmp_path / "model"), "--dataset-dir", str(with_posters)]
    with pytest.raises(InputError, match=message):
        evaluate_model.main([*arguments, "--output-dir", str(tmp_path / "new"), "--retune"])
    assert not (tmp_path / "new").exists()


def test_films_in_a_file_are_decided_with_their_posters(
    poster_run: Path, poster_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = write_csv(tmp_path / "films.csv", made_up_films(20))
    found = {}
    for name, flags in {"text": [], "both": ["--image-dir", str(poster_dir)]}.items():
        output = tmp_path / f"{name}.jsonl"
        arguments = ["--model", str(poster_run), "--input", str(films), "--output", str(output)]
        assert predict.main([*arguments, *flags]) == 0
        found[name] = output.read_text().splitlines()
    same = [a == b for a, b in zip(found["text"], found["both"], strict=True)]
    assert [row for row, is_same in enumerate(same) if is_same] == [0, 10]
    assert "18 of 20 films have a file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    flags = ["--overwrite", "--image-dir", str(tmp_path / "empty")]
    with pytest.raises(InputError, match="is named by an id in 'id'"):
        predict.main([*arguments, *flags])
    write_csv(films, [{"overview": film["overview"]} for film in made_up_films(20)])
    with pytest.raises(InputError, match="--input has no column of ids; name it `id`"):
        predict.main([*arguments, *flags])


def test_what_reads_no_posters_is_refused_before_the_training(
    poster_arguments: Callable[..., list[str]], tiny_encoder: Path, tmp_path: Path
) -> None:
    for model in (str(tiny_encoder), "nobody/has-this", str(tmp_path)):
        flags = ["--image-model", model]
        with pytest.raises(InputError, match=f"--image-model '{model}'"):
            finetune.main(poster_arguments(tmp_path / "run", *flags, posters=False))
    assert not (tmp_path / "run").exists()


def test_data_with_too_few_posters_is_refused_before_the_training(
    tiny_arguments: Callable[..., list[str]], image_encoder: Path, tmp_path: Path
) -> None:
    flags = ["--image-model", str(image_encoder)]
    with pytest.raises(InputError, match=r"too few films have a poster \(train 0, .* --image-dir"):
        finetune.main(tiny_arguments(tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


def test_a_run_with_posters_is_no_run_without(
    poster_run: Path, poster_arguments: Callable[..., list[str]]
) -> None:
    with pytest.raises(InputError, match="run of other --image-model"):
        finetune.main(poster_arguments(poster_run, posters=False))


def test_a_run_is_not_that_of_another_image_encoder_in_the_same_folder(
    poster_run: Path,
    image_encoder: Path,
    poster_arguments: Callable[..., list[str]],
) -> None:
    other = read_json(image_encoder / "config.json") | {"layer_norm_eps": 1e-6}
    before = (image_encoder / "config.json").read_text()
    try:
        (image_encoder / "config.json").write_text(json.dumps(other))
        with pytest.raises(InputError, match="the image encoder's files have changed"):
            finetune.main(poster_arguments(poster_run))
    finally:
        (image_encoder / "config.json").write_text(before)


def test_what_is_published_reads_posters_as_it_was_measured(
    poster_run: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The text is checked as in a run without posters.
    monkeypatch.setattr("movie_genres.hub.publication.check_model", lambda *_: [])
    publish.main([str(poster_run), "--repo-id", NAME])
    files = set(hub.model(NAME).files)
    assert {f"poster/{name}" for name in POSTER_FILES} <= files
    assert not [name for name in files if name.endswith(".parquet")]
    _, rows = measured(poster_run)
    text = pd.read_parquet(poster_run / "predictions.parquet")["text"].iloc[rows["row"].iloc[0]]
    film = dict(zip(("title", "plot"), text.split(". ", 1), strict=True))
    found = GenreClassifier.from_pretrained(NAME)([film], None, [rows["image"].iloc[0]])[0]
    assert np.allclose(list(found.probabilities.values()), rows["both"].iloc[0], atol=1e-6)


def test_the_check_asks_the_plain_pipeline_for_every_genre(
    poster_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def record(*_: object, top_k: int | None, **__: object) -> None:
        asked.append(top_k)
        raise KeyError

    monkeypatch.setattr("transformers.pipeline", record)
    with pytest.raises(KeyError):
        predict_posters_by_name(str(poster_run / "model"), None, [], [])
    assert asked == [3]  # None would be the five most probable


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: edit_config(run / "model", "poster", 2.0), "text and poster differ"),
        (lambda run: edit_config(run / "model", "thresholds", 0.999), "decisions by text and"),
        (lambda run: edit_score(run, 0.999), "f1_micro of text and poster is another"),
        (lambda run: shutil.rmtree(run / "model/poster"), "the folder poster/ is missing"),
        (lambda run: (run / "poster_predictions.parquet").unlink(), "is missing or damaged"),
    ],
)
def test_a_poster_part_that_is_not_what_was_measured_is_refused(
    poster_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    def check_here(request: dict, working_directory: Path, environment: dict) -> dict:
        with monkeypatch.context() as patch:
            patch.chdir(working_directory)
            return predict_posters_by_name(**{k: v for k, v in request.items() if k != "check"})

    monkeypatch.setattr("movie_genres.hub.poster_gate.run_subprocess_check", check_here)
    monkeypatch.setattr("movie_genres.hub.publication.check_model", lambda *_: [])
    run = Path(shutil.copytree(poster_run, tmp_path / "run"))
    stage_run(run, NAME, tmp_path / "intact").check()
    damage(run)
    with pytest.raises(InputError, match=message):
        stage_run(run, NAME, tmp_path / "damaged").check()


def edit_text(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def edit_config(model: Path, key: str, value: float) -> None:
    config = json.loads((model / "config.json").read_text())
    config["poster_fusion"][key]["Horror"] = value
    (model / "config.json").write_text(json.dumps(config))


def edit_score(run: Path, value: float) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["posters"]["scores"]["both"]["f1_micro"] = value
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "README.md").unlink()  # which is rendered anew
