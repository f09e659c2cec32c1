"""Which encoding a text file has, and how it is opened.

UTF-8 is the rule; UTF-16 and UTF-32 are recognised by their byte order mark or their zeros; any
other encoding is guessed from the bytes and reported, or refused where several are as likely.
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
"""Those that are guessed; cp932 is Shift JIS. Further ones would be mistaken for these."""
_AS_CLEAN = 0.03
"""If the shares of odd characters of two guesses differ by less, their letters decide."""
_AS_LIKELY = 0.7
"""A guess is a rival if its coherence is at least this share of the best one's."""
_PIECE = re.compile(rb"[^,;|\t\r\n\"]*[\x80-\xff][^,;|\t\r\n\"]*")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_VALID_PER_DAMAGED = 9
"""If a file has more valid UTF-8 characters beyond ASCII than this for each damaged one, it is
damaged UTF-8: text in another encoding is hardly ever valid UTF-8 by chance."""
_SHOWN_LINES = 5
_NO_FILES = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
"""Python's text codecs that no file is written in."""


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


def choose_encoding(path: Path, name: str | None = None, *, strict: bool = False) -> Encoding:
    """The encoding of a text file: `name`, or what its bytes say.

    Raises:
        InputError: If `name` is no codec or does not fit, if nothing fits, or if `strict` and
            some bytes of a UTF-8 file are damaged.
    """
    if name is not None:
        if not _is_known(name):
            raise InputError(
                f"--encoding {name!r} is no encoding of text files; known are utf-8, utf-16, "
                "cp1252, cp1251, latin-1, shift_jis, gb18030, ..."
            )
        bad = _first_bad_byte(path, name)
        if bad is not None:
            raise InputError(f"{path} is not in --encoding {name} (byte {bad:,} does not fit)")
        return Encoding(name)
    encoding = _unicode_encoding(path)
    bad = _first_bad_byte(path, encoding)
    if bad is None:
        return Encoding(encoding)
    damaged = _damaged_lines(path) if encoding == "utf-8-sig" else []
    if damaged:
        shown = ", ".join(map(str, damaged[:_SHOWN_LINES]))
        note = f"{path.name} is UTF-8 with damaged bytes in {len(damaged):,} line(s): {shown}"
        note += ", ..." if len(damaged) > _SHOWN_LINES else ""
        if strict:
            raise InputError(f"--strict: {note}; correct them, or set --encoding")
        return Encoding(encoding, (f"{note}; they were read as \ufffd",), "replace")
    guesses = _guesses(path)
    if len(guesses) != 1 or _first_bad_byte(path, guesses[0]) is not None:
        raise InputError(
            f"{path} is not UTF-8 (byte {bad:,}), but may be {' or '.join(guesses) or 'anything'}; "
            "name its --encoding, or save it as UTF-8"
        )
    guess = guesses[0]
    note = f"{path.name} is not UTF-8 (byte {bad:,}); it was read as {guess}"
    return Encoding(guess, (f"{note}: look at a few titles, and name the --encoding if wrong",))


def _is_known(name: str) -> bool:
    """Whether a name is that of a codec of files; Python has others, for bytes and for names."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return codec._is_text_encoding and codec.name not in _NO_FILES


def _damaged_lines(path: Path) -> list[int]:
    """Numbers of the lines of a UTF-8 file with damaged bytes; none if it is no UTF-8 file."""
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
    return lines if good > _VALID_PER_DAMAGED * bad else []


def _unicode_encoding(path: Path) -> str:
    """UTF-16 or UTF-32 by their byte order mark, or by the zeros in a header; otherwise UTF-8."""
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
    # In Latin script single letters are beyond ASCII, too few to distinguish its codecs; cp1252 is
    # by far the commonest. In other scripts whole words are beyond ASCII.
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
        except UnicodeError as error:  # for UTF-16 without its mark it has no `start`
            return position + getattr(error, "start", 0)
    return None
