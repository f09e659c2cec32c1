"""The subprocess check: what a fresh process gets that loads a model or a dataset by its name.

`run_subprocess_check` writes a request and starts this module, which writes its answer; both are
JSON files. A name is a path relative to the working directory before the upload, and a Hub id
after it: the code is the same. Each check imports what it needs itself, because importing
transformers takes longer than checking a dataset.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from movie_genres.hub.client import use_bounded_client


def run_subprocess_check(
    request: Mapping[str, Any], working_directory: Path, environment: Mapping[str, str]
) -> dict[str, Any] | str:
    """Run a check in a process of its own.

    Args:
        request: "check": "model", "posters" or "dataset"; and the arguments of its function below.
        working_directory: Of the process.
        environment: Variables that it has besides this process's.

    Returns:
        What the function returned, or the error that the process ended with.
    """
    project = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (project, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / "request.json", Path(scratch) / "answer.json"
        files[0].write_text(json.dumps(request), encoding="utf-8")
        variables = {"PYTHONPATH": path, "HF_DATASETS_CACHE": scratch, **environment}
        # -P: files in the working directory are data, and must not shadow a module.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "movie_genres.hub.subprocess_check", *map(str, files)],
            cwd=working_directory, env=os.environ | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return json.loads(files[1].read_text(encoding="utf-8"))
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"in the subprocess check: {last.removeprefix('movie_genres.errors.')}"


def main() -> None:
    """`sys.argv`: the request's file, the answer's file."""
    use_bounded_client()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    checks: dict[str, Callable[..., Any]] = {
        "model": predict_by_name,
        "posters": predict_posters_by_name,
        "dataset": count_rows,
    }
    answer = checks[request.pop("check")](**request)
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


def predict_by_name(
    repo_id: str, revision: str | None, texts: list[str], snippet: str, onnx: list[str]
) -> dict[str, Any]:
    """Load a model in every way that its card names, and predict.

    Args:
        repo_id: Path of a folder, or Hub id.
        revision: The commit; None for a folder.
        texts: As the column `text` has them.
        snippet: File with the code of the card, which defines `film`, `scores` and `genres`, and
            `onnx_scores` where there are ONNX files.
        onnx: Precisions of the ONNX files.

    Returns:
        Probabilities by genre of each text ("pipeline", "classifier", "onnx" by precision); whether
        tokenizer.json by itself gives the tokenizer's tokens ("same_tokens"); the thresholds; and
        for the film of the snippet the probabilities by the classifier ("film") and what the
        snippet printed ("snippet_scores", "snippet_onnx_scores", "snippet_genres"); and the
        types of the devices ("devices").
    """
    from huggingface_hub import snapshot_download
    from transformers import pipeline

    from movie_genres.inference.classifier import GenreClassifier
    from movie_genres.model.devices import default_device

    folder = repo_id if revision is None else snapshot_download(repo_id, revision=revision)
    classifier = GenreClassifier.from_pretrained(folder)
    plain: Any = pipeline(
        "text-classification", model=repo_id, revision=revision, top_k=None, truncation=True
    )
    labels = classifier.decisions.labels

    def by_name(y_prob: Any) -> list[dict[str, float]]:
        return [dict(zip(labels, row, strict=True)) for row in y_prob.tolist()]

    exported = {}
    for precision in onnx:
        runtime = GenreClassifier.from_pretrained(folder, onnx=True, precision=precision)
        exported[precision] = by_name(runtime.probabilities(texts))
    # The card's code names no revision, and its name is not yet that of the commit to check.
    with tempfile.TemporaryDirectory() as scratch:
        link = Path(scratch) / repo_id
        link.parent.mkdir(parents=True)
        link.symlink_to(Path(folder).resolve())
        with contextlib.chdir(scratch):
            printed = runpy.run_path(snippet)
    film = classifier.probabilities([printed["film"]])[0].tolist()
    return {
        "pipeline": [{s["label"]: s["score"] for s in scores} for scores in plain(texts)],
        "classifier": by_name(classifier.probabilities(texts)),
        "onnx": exported,
        "same_tokens": _same_tokens(Path(folder) / "tokenizer.json", classifier.tokenizer, texts),
        "thresholds": plain.model.config.thresholds,
        "film": dict(zip(labels, film, strict=True)),
        "snippet_scores": {s["label"]: s["score"] for s in printed["scores"]},
        "snippet_onnx_scores": printed.get("onnx_scores"),
        "snippet_genres": printed["genres"],
        "devices": [plain.model.device.type, default_device().type],
    }


def _same_tokens(path: Path, tokenizer: Any, texts: list[str]) -> bool:
    """Whether tokenizer.json, all that other runtimes read, gives a tokenizer's tokens."""
    from tokenizers import Tokenizer

    if not path.is_file():
        return True
    alone = Tokenizer.from_file(str(path))
    alone.no_truncation()
    alone.no_padding()
    ids = [encoding.ids for encoding in alone.encode_batch(texts)]
    return bool(ids == tokenizer(texts)["input_ids"])


def predict_posters_by_name(
    repo_id: str, revision: str | None, texts: list[str], images: list[str]
) -> dict[str, Any]:
    """Load the poster part of a model by plain `pipeline` and by the classifier, and predict.

    Args:
        repo_id: Path of a folder, or Hub id.
        revision: The commit; None for a folder.
        texts: Of films with a poster, as the column `text` has them.
        images: Their posters, Base64.

    Returns:
        Probabilities by genre ("poster" by plain pipeline, "both"), the genres of both, and the
        types of the devices ("devices").
    """
    from io import BytesIO

    from huggingface_hub import snapshot_download
    from PIL import Image
    from scipy.special import logit
    from transformers import pipeline

    from movie_genres.inference.classifier import GenreClassifier
    from movie_genres.model.devices import default_device

    folder = repo_id if revision is None else snapshot_download(repo_id, revision=revision)
    pictures = [base64.b64decode(image) for image in images]
    opened = [Image.open(BytesIO(picture)) for picture in pictures]
    classifier = GenreClassifier.from_pretrained(folder)
    n_labels = len(classifier.decisions.labels)  # None would give five
    plain: Any = pipeline("image-classification", model=f"{folder}/poster", top_k=n_labels)
    text_logits = logit(classifier.probabilities(texts))
    _, y_prob = classifier.posters.read(text_logits, pictures)
    labels, decided = classifier.decisions.labels, classifier.posters.decisions.decide(y_prob)
    return {
        "poster": [{s["label"]: s["score"] for s in scores} for scores in plain(opened)],
        "both": [dict(zip(labels, row, strict=True)) for row in y_prob.tolist()],
        "genres": [[g for g, given in zip(labels, row, strict=True) if given] for row in decided],
        "devices": [plain.model.device.type, default_device().type],
    }


def count_rows(repo_id: str, revision: str | None) -> dict[str, int]:
    """Load a dataset by name: number of rows of each split."""
    from datasets import load_dataset

    splits = load_dataset(repo_id, revision=revision)
    return {name: len(rows) for name, rows in splits.items()}


if __name__ == "__main__":
    main()
