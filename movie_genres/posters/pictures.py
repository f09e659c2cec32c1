"""A picture as a user has it -> the small JPEG that is kept and read, or why it is left out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from PIL import Image, ImageOps

from movie_genres.errors import InputError
from movie_genres.reading.identity import id_key, is_imdb

HEIGHT = 256
"""Pixels, at most: image encoders read about 224."""
_WIDTH = 4 * HEIGHT
_TINY = 32
"""Pixels of the shorter side, below which a picture shows nothing."""
_MOST_BYTES = 2**26
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Found by content. Others need programs outside of Pillow (EPS), or are no posters."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")

DAMAGED, TINY, IDENTICAL = "damaged or no picture", "tiny", "identical pictures of several films"


class UnusableError(Exception):
    """Why a picture is left out; one of the reasons above."""


@dataclass(frozen=True)
class PictureFolder:
    """Picture files that are named by the id of their film."""

    path: Path
    by_id: Mapping[str, Path]

    @classmethod
    def open(cls, path: Path) -> PictureFolder:
        """List the pictures, by `id_key` of their names; of several for one id the first by name.

        Raises:
            InputError: If there is no such folder, or it cannot be read.
        """
        try:
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
            by_id = {id_key(file.stem): file for file in reversed(files) if file.is_file()}
        except OSError as error:
            raise InputError(
                f"--image-dir {path} cannot be read ({error.strerror}); name the folder that holds "
                "the posters"
            ) from None
        return cls(path, by_id)

    def of_film(self, identifier: str, id_column: str | None) -> Path | None:
        """The picture of a film, if there is one.

        Args:
            identifier: Of the film.
            id_column: Name of the column that it is from; without one it is a row number.
        """
        if id_column is None:
            return None
        keys = (id_key(identifier, imdb=is_imdb(id_column)), id_key(identifier))
        return next((self.by_id[key] for key in keys if key and key in self.by_id), None)

    def of_films(self, identifiers: Sequence[str], id_column: str | None) -> list[bytes | None]:
        """The clean pictures of films; None where there is none that can be used."""
        found: list[bytes | None] = []
        for identifier in identifiers:
            path = self.of_film(identifier, id_column)
            try:
                found.append(clean_picture(path) if path else None)
            except UnusableError:
                found.append(None)
        return found

    def sha256(self) -> str:
        """Of names, sizes and times of all files."""
        files = [(path.name, path.stat()) for _, path in sorted(self.by_id.items())]
        about = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in files]
        return sha256(repr(about).encode()).hexdigest()


def clean_picture(picture: bytes | str | Path) -> bytes:
    """The picture as JPEG: upright, RGB, at most `HEIGHT` high, the first frame of several.

    A JPEG that is so already is left as it is, byte by byte.

    Raises:
        UnusableError: If it is missing or damaged, tiny, or larger than Pillow decodes.
    """
    try:
        if isinstance(picture, str | Path):
            with Path(picture).open("rb") as file:
                picture = file.read(_MOST_BYTES)  # a larger one ends too early, and is damaged
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(picture), formats=_FORMATS) as image,
        ):
            return _as_jpeg(image, picture)
    except UnusableError:
        raise
    except Exception:  # Pillow raises a dozen kinds for damaged files, and for too large ones
        raise UnusableError(DAMAGED) from None


def _as_jpeg(image: Image.Image, content: bytes) -> bytes:
    if min(image.size) * min(1, _WIDTH / image.width, HEIGHT / image.height) < _TINY:
        raise UnusableError(TINY)
    is_ready = image.format == "JPEG" and image.mode == "RGB" and not image.getexif()
    is_ready = is_ready and image.width <= _WIDTH and image.height <= HEIGHT
    image.draft(None, (2 * HEIGHT, 2 * HEIGHT))  # decodes a large JPEG at a fraction of its size
    image.load()
    if is_ready:
        return content
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which `convert` clips
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    image = image.convert("RGB")
    image.thumbnail((_WIDTH, HEIGHT))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=90)
    return written.getvalue()


def shown(pictures: Sequence[bytes]) -> Iterator[Image.Image]:
    """The pictures that `clean_picture` gave, decoded one after the other."""
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as image:
            yield image.convert("RGB")
