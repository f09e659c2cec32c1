"""Tables whose rows come in splits of their own name the split of each row."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import made_up_films
from test_sources import opened

from movie_genres.reading.records import OWN_SPLIT


def test_the_splits_of_a_data_set_are_its_last_column(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    films = made_up_films(60)
    for name, rows in (("train", films[:40]), ("validation", films[40:45]), ("test", films[45:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (source,) = opened(tmp_path, str(folder))
    assert source.table.columns[-1] == OWN_SPLIT
    found = list(source.table.records(["id", OWN_SPLIT]))
    assert found[0] == (films[0]["id"], "train")
    assert [split for _, split in found] == ["train"] * 40 + ["validation"] * 5 + ["test"] * 15  # type: ignore[misc]
