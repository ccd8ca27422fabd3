"""One schema: the flags of every command are its keys, and one file serves several commands."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from command import call
from tiny_coco import TinyCoco

from sambench.evsam.errors import SambenchError
from sambench.harness.cli.export import export
from sambench.harness.cli.run import run
from sambench.harness.cli.throughput import throughput
from sambench.harness.config.export import load_export
from sambench.harness.config.keys import BY_SPELLING, EXPORT, KEYS, RUN, THROUGHPUT
from sambench.harness.config.run import load_run
from sambench.harness.throughput.config import load_throughput

COMMANDS: dict[str, Any] = {RUN: run, THROUGHPUT: throughput, EXPORT: export}
NO_KEYS = {"context", "config", "dry_run", "as_json", "explain"}  # what is read, and what is shown

BOTH = {
    "models": ["efficientvit_sam_l0", "mobile_sam"],
    "weights": {"efficientvit_sam_l0": "random", "mobile_sam": "random"},
    "suites": ["gt_box"],
    "dataset": "mine",
    "images": "a",
    "annotations": "b.json",
    "engines": ["eager", "openvino"],
    "precision": "fp32",
    "scopes": "E,D1",
    "format": "openvino",
    "limit": 4,
    "out": "runs/x",
}


def flags_of(command: str) -> dict[str, list[str]]:
    """The parameters of a command that are keys, and the flags of each."""
    parameters = inspect.signature(COMMANDS[command], eval_str=True).parameters
    found = {}
    for name, parameter in parameters.items():
        if name in NO_KEYS:
            continue
        (info,) = (m for m in parameter.annotation.__metadata__)
        plain = name.rstrip("_")
        if isinstance(info, typer.models.OptionInfo):
            found[plain] = list(info.param_decls or [f"--{plain.replace('_', '-')}"])
        else:
            found[plain] = [plain]
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_the_flags_of_a_command_are_its_keys_and_none_is_missing(command: str) -> None:
    flags = flags_of(command)
    keys = {key for key in KEYS if command in key.commands}
    assert {BY_SPELLING[name] for name in flags} == keys
    for name, spelt in flags.items():
        for flag in spelt:
            assert BY_SPELLING[flag.lstrip("-").replace("-", "_")] == BY_SPELLING[name]


def test_the_page_on_configurations_has_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \| ([\w, ]+) \|", page, re.MULTILINE)
    assert [(one, several, tuple(commands.split(", "))) for one, several, commands in rows] == [
        (key.name, key.several, key.commands) for key in KEYS
    ]


def test_one_file_serves_run_throughput_and_export(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump(BOTH))
    evaluate, left = load_run(file, {})
    assert left.unread == ("format", "scopes")  # as YAML was written, sorted
    measure, left = load_throughput(file, {})
    assert left.unread == ("format", "limit", "suites")
    write, left = load_export(file, {})
    assert set(left.unread) == {"annotations", "dataset", "engines", "images", "limit", "scopes", "suites"}
    for config in (evaluate, measure, write):
        assert config.models == ("efficientvit_sam_l0", "mobile_sam")
        assert config.weights == BOTH["weights"]
        assert config.out == Path("runs/x")
    assert evaluate.engines == measure.engines == ("eager", "openvino")
    assert evaluate.datasets[0].images == measure.images == Path("a")
    assert write.format == "openvino"


def test_what_a_command_does_not_read_is_said(tiny: TinyCoco, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"models": "box", "suite": "gt_box", "scopes": "E", "audit": True}))
    done = call("run", file, *tiny.flags, "--out", tmp_path / "out", "--dry-run")
    assert done.code == 0, done.err
    assert f"{file}: 'sambench run' does not read audit, scopes" in done.err


def test_a_key_of_no_command_is_refused_with_those_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("scoops: E\n")
    words = r"no key 'scoops'. Did you mean 'scopes'.*'sambench run' reads models"
    with pytest.raises(SambenchError, match=words):
        load_run(file, {})


def test_throughput_is_of_one_data_set(tmp_path: Path) -> None:
    file = tmp_path / "speed.yaml"
    two = [{"name": name, "images": name, "annotations": f"{name}.json"} for name in ("coco", "lvis")]
    file.write_text(yaml.safe_dump({"models": "box", "datasets": two, "out": "x"}))
    with pytest.raises(SambenchError, match="one data set, not on coco, lvis"):
        load_throughput(file, {})
