"""In which encoding a text file is written, and how it is opened.

UTF-8 is the rule; UTF-16 and UTF-32 are known by their marks or their zeros; anything else is
guessed from its bytes, and told, or refused where several encodings are as likely.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import charset_normalizer

from movie_genres.errors import InputError

_SAMPLE_BYTES = 2**18
_CODECS = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""What files are written in; cp932 is Shift JIS. More of them would only be mistaken for these."""
_AS_CLEAN = 0.03
"""Two guesses whose share of odd signs differs by no more are told apart by their letters alone."""
_AS_LIKELY = 0.7
_PIECE = re.compile(rb"[^,;|\t\r\n\"]*[\x80-\xff][^,;|\t\r\n\"]*")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
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
    encoding = _unicode_encoding(path)
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
    guesses = _guesses(path)
    if len(guesses) != 1 or _first_bad_byte(path, guesses[0]) is not None:
        raise InputError(
            f"{path} is not UTF-8 (byte {bad:,}), but may be {' or '.join(guesses) or 'anything'}; "
            "name its --encoding, or save it as UTF-8"
        )
    guess = guesses[0]
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


def _unicode_encoding(path: Path) -> str:
    """UTF-16 or UTF-32 by their mark, or by the zeros that they make of a header; else UTF-8."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [head[place::4].count(0) >= len(head) // 5 > 0 for place in range(4)]
    without_mark: dict[tuple[bool, ...], str] = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
    }
    return without_mark.get(tuple(zeros), "utf-8-sig")


def _guesses(path: Path) -> list[str]:
    """The encodings that the cells beyond ASCII look like: one, or several that are as likely."""
    sample = bytearray()
    with path.open("rb") as file:
        for line in file:
            if not line.isascii():
                sample += b"\n".join(_PIECE.findall(line)) + b"\n"
                if len(sample) > _SAMPLE_BYTES:
                    break
    lengths = [len(run) for run in _BEYOND_ASCII.findall(sample)]
    # A letter of Latin script stands alone among ASCII, and a few of them cannot tell its codecs
    # apart; one is by far the commonest. Words of other scripts are beyond ASCII as a whole.
    if 2 * lengths.count(1) > len(lengths) and _first_bad_byte(path, "cp1252") is None:
        return ["cp1252"]
    matches = charset_normalizer.from_bytes(bytes(sample), cp_isolation=list(_CODECS))
    best = matches.best()
    if best is None:
        return []
    rivals = [
        match.encoding
        for match in matches
        if match.chaos <= best.chaos + _AS_CLEAN
        and match.coherence >= _AS_LIKELY * best.coherence
        and str(match) != str(best)
    ]
    return [best.encoding, *rivals]


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
