"""A plot as its sentences, or as the clauses of its one sentence."""

from __future__ import annotations

import pytest

from movie_genres.inference.sentences import parts_of, sentences_of, without


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. No waits.", "Mr. and Mrs. Smith leave!", "Why?"],
        ['He said "Stop!" and left.', '"Why?" she asks.', "“No.”", "(Nobody knows.)"],
        ["J. R. Smith, a U.S. agent, meets No. 5 on St. Ives.", "He says no.", "He ends."],
        ["It was... odd and more…", "But why?!", "7 men die."],
        ["Les amis « partent ».", "Élodie revient.", "¿Quién es?", "¡Nadie!"],
        ["वह जाता है।", "वह आता है।"],
        ["One line without an end"],
    ],
)  # fmt: skip
def test_sentences_end_where_they_do(sentences: list[str]) -> None:
    assert sentences_of(" ".join(sentences)) == sentences


def test_sentences_of_chinese_and_japanese_need_no_blank() -> None:
    assert sentences_of("刑事が犯人を追う。「なぜ？」と彼女は言う。終わり") == [
        "刑事が犯人を追う。", "「なぜ？」と彼女は言う。", "終わり"
    ]  # fmt: skip
    assert sentences_of("两名侦探追捕杀手。谁？没人知道！") == [
        "两名侦探追捕杀手。",
        "谁？",
        "没人知道！",
    ]


def test_one_sentence_is_its_clauses_and_short_ones_are_not_cut_off() -> None:
    text = "When the planner vanishes with the rings, two families, both rich, have a day left."
    assert parts_of(text) == [
        "When the planner vanishes with the rings,",
        "two families, both rich,",
        "have a day left.",
    ]
    assert parts_of("A man, alone, waits.") == ["A man, alone, waits."]
    assert parts_of("One, two. Three, four, five six seven.") == [
        "One, two.", "Three, four, five six seven."
    ]  # fmt: skip
    assert parts_of("") == []


def test_a_part_is_left_out_at_its_place() -> None:
    text = "A man waits. He leaves. A man waits."
    assert without(text, "A man waits.", 0) == "He leaves. A man waits."
    assert without(text, "A man waits.", 24) == "A man waits. He leaves."
