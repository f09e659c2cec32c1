from __future__ import annotations

import pytest

from movie_genres.markdown import escaped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Science Fiction & Fantasy", "Science Fiction & Fantasy"),
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("![x](http://a)", r"!\[x\](http://a)"),
        ("*M*A*S*H and _It_", r"\*M\*A\*S\*H and \_It\_"),
        ("two\n lines\r", "two lines"),
        ("&lt; and &#60;", "&amp;lt; and &amp;#60;"),
        ("back\\slash `code` $x$", r"back\\slash \`code\` \$x\$"),
    ],
)
def test_what_data_say_is_text_and_no_markup(text: str, expected: str) -> None:
    assert escaped(text) == expected
