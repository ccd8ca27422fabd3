"""Shards of a result: in order, without gaps, and together one JSON list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sambench.evsam.errors import SambenchError
from sambench.harness.detect.shards import Row, Shards


def row(image: int) -> Row:
    return {"image_id": image, "category_id": 1, "bbox": [0.5, 1.0, 2.0, 3.0], "score": 1 / 3}


def whole(shards: Shards) -> tuple[int, bytes]:
    """All pieces together."""
    pieces = list(shards.read())
    return sum(rows for rows, _ in pieces), b"".join(content for _, content in pieces)


@pytest.mark.parametrize(
    "contents",
    [[], [[]], [[], [row(1)], [], [row(2), row(3)], []], [[row(0)], [row(1)]]],
    ids=["none", "empty", "gaps", "full"],
)
def test_together_they_are_the_list_of_all_rows(tmp_path: Path, contents: list[list[Row]]) -> None:
    shards = Shards(tmp_path / "parts")
    for number, rows in enumerate(contents):
        shards.write(16 * number, 16 * number + 16, rows)
    rows = [row for rows in contents for row in rows]
    assert whole(shards) == (len(rows), json.dumps(rows, separators=(",", ":")).encode())
    assert shards.images() == 16 * len(contents)


def test_what_comes_after_a_gap_is_not_counted(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "parts")
    shards.write(0, 16, [row(0)])
    shards.write(20, 36, [row(20)])
    assert shards.images() == 16
    assert whole(shards)[0] == 1
    shards.write(16, 20, [])
    assert shards.images() == 36
    assert whole(shards)[0] == 2


@pytest.mark.parametrize("content", [b"", b"[{", b"{}", b"[1] [2]"])
def test_a_damaged_one_is_named(tmp_path: Path, content: bytes) -> None:
    shards = Shards(tmp_path / "parts")
    shards.write(0, 16, [row(0)])
    file = tmp_path / "parts" / "0000000-0000016.json"
    file.write_bytes(content)
    with pytest.raises(SambenchError, match="Remove it and run again") as caught:
        whole(shards)
    assert str(file) in str(caught.value)


def test_removed_they_leave_nothing(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "parts")
    shards.write(0, 1, [])
    shards.remove()
    assert list(tmp_path.iterdir()) == []
    assert shards.images() == 0
