"""How long it will take, as the folder knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call
from tiny_coco import TinyCoco, make_tiny

from sambench.harness.times import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (8.4, "8 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7800, "2 h 10 min")],
)
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_plan_says_what_earlier_commands_know_of_its_models(
    tiny: TinyCoco, fresh: Path, tmp_path: Path
) -> None:
    """The clock is not looked at: only what is known, and that it grows with the images."""
    command = ["run", "--models", "box,ellipse", "--suites", "gt_box", "--out", fresh]
    first = call(*command, *tiny.flags, "--dry-run")
    assert "box on tiny: not known before its first images" in first.out
    assert call("run", "--models", "box", *command[3:], *tiny.flags).code == 0
    other = make_tiny(tmp_path / "other", images=6)
    told = call(*command, *other.flags, "--dry-run").out
    assert "box on tiny: about 1 s" in told
    assert "ellipse on tiny: not known" in told
    assert "all together" not in told
    done = call(*command[:2], "box", *command[3:], *tiny.flags, "--dry-run").out
    assert "box on tiny: about" not in done
