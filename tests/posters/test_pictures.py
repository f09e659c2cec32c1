"""Pictures as users have them: every kind of damage, and every kind of file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from movie_genres import InputError
from movie_genres.posters.pictures import (
    DAMAGED,
    HEIGHT,
    TINY,
    PictureFolder,
    UnusableError,
    clean_picture,
)

NOISE = Image.fromarray(
    np.random.default_rng(0).integers(0, 255, size=(300, 200, 3)).astype(np.uint8)
)
GREY_16_BITS = Image.fromarray(np.linspace(0, 65535, 60_000).reshape(300, 200).astype(np.uint16))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


GOOD: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(NOISE, "JPEG"),
    "CMYK": lambda: encoded(NOISE.convert("CMYK"), "JPEG"),
    "palette": lambda: encoded(NOISE.convert("P"), "PNG"),
    "transparent": lambda: encoded(NOISE.convert("RGBA"), "WEBP"),
    "one bit": lambda: encoded(NOISE.convert("1"), "PNG"),
    "animated": lambda: encoded(NOISE, "GIF", save_all=True, append_images=[NOISE.rotate(180)]),
    "large": lambda: encoded(NOISE.resize((2000, 3000)), "JPEG"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_every_kind_becomes_a_small_upright_jpeg(kind: str) -> None:
    clean = decoded(clean_picture(GOOD[kind]()))
    assert (clean.format, clean.mode, clean.size) == ("JPEG", "RGB", (171, HEIGHT))
    assert 100 < np.asarray(clean).mean() < 155


def test_a_small_jpeg_stays_byte_by_byte() -> None:
    content = encoded(NOISE.resize((160, 240)), "JPEG")
    assert clean_picture(content) is content


def test_a_camera_s_rotation_is_undone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decoded(clean_picture(encoded(NOISE, "JPEG", exif=exif))).size == (300, 200)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.asarray(decoded(clean_picture(encoded(GREY_16_BITS, "PNG"))).convert("L"))
    assert np.allclose(values.mean(axis=1)[[5, 128, 250]], [5, 128, 250], atol=3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404</html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        encoded(NOISE, "JPEG")[:3000],
        encoded(NOISE, "PNG")[:3000],
        encoded(NOISE, "WEBP")[:2000],
        encoded(NOISE, "TIFF")[:2000],
        encoded(Image.new("1", (20_000, 20_000)), "PNG"),  # a decompression bomb
    ],
    ids=["empty", "text", "EPS", "JPEG", "PNG", "WEBP", "TIFF", "bomb"],
)
def test_what_is_damaged_is_said_to_be(content: bytes) -> None:
    with pytest.raises(UnusableError, match=DAMAGED):
        clean_picture(content)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (60, 9000), (9000, 60)])
def test_what_shows_nothing_is_tiny(size: tuple[int, int]) -> None:
    with pytest.raises(UnusableError, match=TINY):
        clean_picture(encoded(Image.new("RGB", size), "PNG"))


def test_files_are_found_by_the_number_of_their_film(tmp_path: Path) -> None:
    for name in ("862.JPG", "0007.png", "tt0114709.webp", "9.jpg", "9.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "5.jpg").mkdir()
    folder = PictureFolder.open(tmp_path)

    def found(identifier: str, column: str | None = "id") -> str | None:
        path = folder.of_film(identifier, column)
        return path and path.name

    assert found("862.0") == found(" 862") == "862.JPG"
    assert found("7") == "0007.png"
    assert found("9") == "9.jpg"
    assert found("114709", "imdb_id") == "tt0114709.webp"
    assert found("114709") is None and found("5") is None and found("") is None
    assert found("../862") is None
    assert found("862", None) is None  # the number of a row is no id
    for path in (tmp_path / "absent", tmp_path / "9.jpg"):
        with pytest.raises(InputError, match=r"cannot be read \(N.*name the folder"):
            PictureFolder.open(path)
