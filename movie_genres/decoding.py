"""In which encoding a text file is written, and how it is opened.

UTF-8 is the rule; UTF-16 is known by its mark; anything else is guessed from its bytes, and told.
"""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import charset_normalizer

from movie_genres.errors import InputError

_SAMPLE_BYTES = 2**16
_MOSTLY = 9
"""So many signs beyond ASCII that are UTF-8, for each that is not, make a file damaged UTF-8: text
in another encoding has hardly any that are, by chance."""
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Encoding:
    """How a text file is to be read."""

    name: str
    """A Python codec."""
    notes: tuple[str, ...] = ()
    """What a user should know, one sentence each."""
    errors: str = "strict"
    """`replace` where single bytes are damaged, which become U+FFFD."""

    def open(self, path: Path, newline: str = "\n") -> TextIO:
        return path.open(encoding=self.name, errors=self.errors, newline=newline)


def choose_encoding(path: Path, asked: str | None = None, *, strict: bool = False) -> Encoding:
    """The encoding of a text file: `asked`, or what its bytes say.

    Raises:
        InputError: If `asked` is no codec or does not fit, if nothing fits, or if `strict` and
            some bytes of a UTF-8 file are damaged.
    """
    if asked is not None:
        try:
            codecs.lookup(asked)
        except LookupError:
            raise InputError(f"--encoding {asked!r} is no encoding; utf-8 or cp1252, say") from None
        bad = _first_bad_byte(path, asked)
        if bad is not None:
            raise InputError(f"{path} is not in --encoding {asked} (byte {bad:,} does not fit)")
        return Encoding(asked)
    with path.open("rb") as file:
        head = file.read(4)
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    bad = _first_bad_byte(path, encoding)
    if bad is None:
        return Encoding(encoding)
    damaged = _damaged_lines(path) if encoding == "utf-8-sig" else []
    if damaged:
        shown = ", ".join(map(str, damaged[:_SHOWN_LINES]))
        told = f"{path.name} is UTF-8 with damaged bytes in {len(damaged):,} line(s): {shown}"
        told += ", ..." if len(damaged) > _SHOWN_LINES else ""
        if strict:
            raise InputError(f"--strict: {told}; mend them, or name the --encoding")
        return Encoding(encoding, (f"{told}; they were read as \ufffd",), "replace")
    guess = _guess(path, bad)
    if guess is None or _first_bad_byte(path, guess) is not None:
        raise InputError(
            f"{path} is not UTF-8 (byte {bad:,}), nor what it looked like ({guess or 'nothing'}); "
            "name its --encoding, or save it as UTF-8"
        )
    note = f"{path.name} is not UTF-8 (byte {bad:,}); it was read as {guess}"
    return Encoding(guess, (f"{note}: look at a few titles, and name the --encoding if wrong",))


def _damaged_lines(path: Path) -> list[int]:
    """Lines of a UTF-8 file with bytes that are not UTF-8; none if it is no UTF-8 file."""
    good = bad = 0
    lines = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.isascii():
                continue
            text = line.decode("utf-8", errors="replace")
            beyond = len(text) - len(text.encode("ascii", errors="ignore"))
            damaged = text.count("\ufffd") - line.count("\ufffd".encode())
            good += beyond - damaged
            bad += damaged
            if damaged:
                lines.append(number)
    return lines if good > _MOSTLY * bad else []


def _guess(path: Path, near: int) -> str | None:
    """What the bytes around the first one that is not UTF-8 look like."""
    with path.open("rb") as file:
        file.seek(max(0, near - _SAMPLE_BYTES // 2))
        sample = file.read(8 * _SAMPLE_BYTES)
    best = charset_normalizer.from_bytes(sample, cp_exclusion=["utf_16", "utf_32"]).best()
    if best is None:
        return None
    # A few letters cannot tell the codecs of Latin script apart; one is by far the commonest.
    letters = [sign for sign in str(best) if not sign.isascii() and sign.isalpha()]
    latin = sum(unicodedata.name(sign, "").startswith("LATIN") for sign in letters)
    if 2 * latin >= len(letters) and _first_bad_byte(path, "cp1252") is None:
        return "cp1252"
    return best.encoding


def _first_bad_byte(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    position = 0
    with path.open("rb") as file:
        try:
            while block := file.read(2**22):
                decoder.decode(block)
                position += len(block)
            decoder.decode(b"", final=True)
        except UnicodeError as error:  # UTF-16 without its mark is one without a place
            return position + getattr(error, "start", 0)
    return None
