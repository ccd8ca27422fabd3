"""Weights of a model of two parts: what is said of each, of both, and what tells them from others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sambench.adapters.base import Weights
from sambench.adapters.weights.resolve import joined, of_parts, places, resolve, sha256_of
from sambench.adapters.weights.shipped import shipped
from sambench.evsam.errors import SambenchError

PICO = "efficientvit_sam_pico"
NAME = f"grounding_dino_t+{PICO}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dino").mkdir()
    (tmp_path / "dino" / "config.json").write_text("{}")
    return tmp_path / "dino"


def test_each_part_is_found_and_hashed_as_alone(folder: Path) -> None:
    found = resolve(NAME, {"grounding_dino_t": str(folder)})
    file = shipped(PICO)
    assert file is not None
    assert found.parts == {
        "grounding_dino_t": resolve("grounding_dino_t", str(folder)),
        PICO: resolve(PICO, None),
    }
    assert found.source == "file"
    assert found.path == f"{folder} + {file}"
    assert found.parts[PICO].sha256 == sha256_of(file)
    assert places(NAME, {"grounding_dino_t": str(folder)}) == [folder, file]


def test_the_identity_is_of_both(folder: Path, tmp_path: Path) -> None:
    def given(at: Path, **more: str) -> Weights:
        return resolve(NAME, {"grounding_dino_t": str(at)} | more)

    before = given(folder)
    random = given(folder, **{PICO: "random"})
    assert random.source == "random"
    assert len({before.identity, random.identity, resolve(NAME, "random").identity}) == 3
    moved = folder.rename(tmp_path / "elsewhere")
    assert given(moved).identity == before.identity
    (moved / "config.json").write_text("{ }")
    assert given(moved).identity != before.identity
    assert given(moved, **{PICO: "random"}).identity != random.identity


def test_random_is_said_of_all_that_have_weights() -> None:
    assert of_parts(NAME, "random") == {"grounding_dino_t": "random", PICO: "random"}
    assert of_parts("grounding_dino_t+box", "random") == {"grounding_dino_t": "random", "box": None}
    assert of_parts("box", None) == {}
    both = resolve("grounding_dino_t+box", "random")
    assert (both.source, both.seed, both.sha256, both.path) == ("random", 0, None, None)
    assert both.parts["box"] == Weights("none")


def test_what_fits_no_part_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SambenchError, match=r"x\.pt of which part\? Say grounding_dino_t=PATH and eff"):
        resolve(NAME, "x.pt")
    with pytest.raises(SambenchError, match="weights for box; its parts are grounding_dino_t and eff"):
        resolve(NAME, {"box": "random"})
    with pytest.raises(SambenchError, match=f"weights for {PICO}; its parts are none, so give a path"):
        resolve(PICO, {PICO: "random"})
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"--weights grounding_dino_t=PATH"):
        resolve(NAME, None)


def test_parts_are_written_only_where_there_are_some_and_come_back(folder: Path) -> None:
    plain = Weights("file", path="a.pt", sha256="0" * 64)
    assert set(plain.to_json()) == {"source", "path", "sha256", "seed"}
    assert Weights.from_json(plain.to_json()) == plain
    taken = dataclasses.replace(plain, taken="state_dict")
    both = joined({"a": taken, "b": Weights("random", seed=0)})
    assert both.taken == "a: state_dict"
    assert Weights.from_json(json.loads(json.dumps(both.to_json()))) == both
    assert set(both.to_json()["parts"]["b"]) == {"source", "path", "sha256", "seed"}
