"""What people expect of any command: help, a folder by default, JSON, quiet, levels, plain text in a pipe."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command import ROOT, Screen, call, cells_of, times
from rich.console import Console
from tiny_coco import TinyCoco

from sambench.harness import terminal
from sambench.harness.cli import bars, console, verbosity
from sambench.harness.cli.app import app
from sambench.harness.terminal import draws, logs

RUN = ["run", "--models", "box", "--suites", "gt_box"]


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that tests says what a terminal is."""
    for variable in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def commands(group: Any = None, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or typer.main.get_command(app)
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*name, word))
        else:
            yield (*name, word), command


@pytest.mark.parametrize("group", [[], ["data"], ["weights"], ["train"]], ids=" ".join)
def test_a_bare_group_shows_its_help(group: list[str]) -> None:
    done = call(*group)
    assert done.code == 0
    assert "Usage: " + " ".join(["sambench", *group]) in done.out
    assert done.out == call(*group, "--help").out


def test_every_command_has_an_example_of_itself_and_can_be_quiet() -> None:
    found = dict(commands())
    assert len(found) > 15
    for name, command in found.items():
        help_ = call(*name, "--help").out
        assert f"**Example**: sambench {' '.join(name)} " in command.help, name
        assert "Example: sambench" in help_
        assert "--quiet" in help_
        assert "--log-level" in help_


def test_an_unknown_command_and_an_unknown_option_name_the_nearest() -> None:
    assert "'models'" in call("modles").err
    assert "--suites" in call("run", "--sutes", "gt_box").err


def test_a_run_without_a_folder_names_one_and_the_same_again_goes_on(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*RUN, *tiny.flags]
    done = call(*command)
    assert done.code == 0, done.err
    name = tiny.flags[tiny.flags.index("--dataset") + 1]
    assert done.err.splitlines()[0] == f"results go to runs/{name}; choose another folder with --out"
    before = times(tmp_path / "runs" / name)
    assert before
    assert call(*command).code == 0
    assert times(tmp_path / "runs" / name) == before
    assert "choose another" not in call(*command, "--out", "mine", "--dry-run").err


def test_a_plan_and_its_results_are_json_alone(tiny: TinyCoco, tmp_path: Path) -> None:
    command = [*RUN, "--models", "box,ellipse", *tiny.flags, "--out", tmp_path / "run", "--json"]
    before, done = call(*command, "--dry-run"), call(*command)
    rows = json.loads(before.out)
    assert [(row["model"], row["suite"], row["shards_done"], row["shards"]) for row in rows] == [
        ("box", "gt_box", 0, 1),
        ("ellipse", "gt_box", 0, 1),
    ]
    assert rows[0]["images"] == len(tiny.content["images"])
    assert rows[0]["protocol"]["preset"] == "strict"
    assert json.loads(done.out) == cells_of(tmp_path / "run")
    assert "images" in done.err  # progress stays where it was
    (row, _) = json.loads(call(*command, "--dry-run").out)
    assert row["shards_done"] == 1


def test_a_plan_of_a_throughput_is_json_alone(many: list[str], tmp_path: Path) -> None:
    models = ["--models", "efficientvit_sam_l0", "--weights", "random", "--scopes", "D1", "--modes", "serial"]
    command = ["throughput", *models, *many, "--dataset", "photos", "--out", tmp_path / "out"]
    done = call(*command, "--dry-run", "--json")
    (row,) = json.loads(done.out)
    assert (row["model"], row["scope"], row["batch"], row["modes"]) == (
        "efficientvit_sam_l0",
        "D1",
        1,
        ["serial"],
    )
    assert row["rounds_done"] == 0


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
def test_a_quiet_run_says_warnings_and_results_alone(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)  # a report cannot be written, of which a run warns
    command = [*RUN, *tiny.flags, "--out", tmp_path / "run"]
    done = call("--quiet", *command) if before else call(*command, "--quiet")
    assert done.code == 0
    assert {line.partition(":")[0] for line in done.err.splitlines()} == {"warning"}
    assert "results" in done.out
    silent = call(*command, "--log-level", "error")
    assert (silent.code, silent.err) == (0, "")
    assert "images" in call(*command, "--limit", "1").err  # and the next command is not quiet


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    done = call("report", tmp_path / "none", "--log-level", "debug")
    assert done.code == 2
    assert "load_results" in done.err
    assert "Traceback" in done.err
    assert "Traceback" not in call("report", tmp_path / "none").err


def test_the_level_rules_what_libraries_say_and_ends_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    root, library = logging.getLogger(), logging.getLogger("some.library")
    before = (root.level, list(root.handlers))
    with verbosity.as_asked():
        verbosity._be_at(verbosity.Level.WARNING)
        library.info("a detail")
        library.warning("not %s", "good")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert os.environ["TRANSFORMERS_VERBOSITY"] == "warning"
    said = capsys.readouterr().err
    assert "warning: some.library: not good" in said
    assert "DeprecationWarning: old" in said
    assert "a detail" not in said
    assert (root.level, root.handlers) == before
    assert "TRANSFORMERS_VERBOSITY" not in os.environ
    assert terminal.says(logging.INFO)


def test_an_interrupt_of_any_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sambench.adapters.registry.known", interrupt)
    assert call("models").code == 130


@pytest.mark.parametrize(
    ("variables", "moves"),
    [({}, True), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False), ({"CI": "true"}, False)],
    ids=str,
)
def test_bars_move_on_a_terminal_that_can(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], moves: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen = Console(file=Screen())
    assert (draws(seen), logs(seen)) == (moves, not moves)


def test_colours_that_are_forced_into_a_pipe_bring_no_bars_and_fold_no_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    into_pipe = Console(file=io.StringIO(), width=20)
    assert into_pipe.is_terminal  # rich takes it for one
    assert not draws(into_pipe)
    table = console.plain_table("model", "weights")
    table.add_row("efficientvit_sam_l0", "efficientvit_sam_l0.pt")
    console.print_table(table, into_pipe)
    lines = into_pipe.file.getvalue().splitlines()
    assert "\x1b[" in lines[0]
    assert lines[1:] == ["efficientvit_sam_l0  efficientvit_sam_l0.pt"]
    narrow = Console(file=Screen(), width=20, color_system=None)
    console.print_table(table, narrow)
    assert max(map(len, narrow.file.getvalue().splitlines())) <= 20


@pytest.mark.parametrize("columns", ["40", ""])
def test_a_list_in_a_pipe_has_a_line_a_model_whatever_the_columns(columns: str) -> None:
    environment = os.environ | {"COLUMNS": columns}
    code = "from sambench.harness.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "weights", "list"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("efficientvit_sam_xl1 ")]
    assert "efficientvit_sam_xl1.pt" in line
    assert not {b"\r", b"\x1b"} & {done.stdout[i : i + 1] for i in range(len(done.stdout))}


def test_a_bar_is_drawn_on_a_real_terminal_and_left_out_of_a_log(tmp_path: Path) -> None:
    code = "from sambench.harness.cli import main; main()"
    command = [sys.executable, "-c", code, "data", "make", "shapes", "--images", "2", "--out"]
    ours, theirs = pty.openpty()
    subprocess.run([*command, tmp_path / "a"], cwd=ROOT, stderr=theirs, stdout=subprocess.PIPE, check=True)
    os.close(theirs)
    drawn = os.read(ours, 100_000)
    assert b"Drawing" in drawn
    assert b"\x1b[" in drawn
    assert call("data", "make", "shapes", "--images", 2, "--out", tmp_path / "b").err == ""


def test_work_that_takes_long_says_so_in_a_log_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=log, width=20))
    monkeypatch.setattr(bars, "LINE_EVERY", 0.01)
    with bars.bar("Checking") as advance:
        ended = bars.time.monotonic() + 0.02
        while bars.time.monotonic() < ended:
            advance(1500, 3000)
    assert log.getvalue().splitlines()[0] == "Checking: 1,500/3,000 images"
    with bars.status("Reading annotations, images and weights"):
        bars.time.sleep(0.05)
    said = log.getvalue()
    assert "Reading annotations, images and weights, 1 s so far" in said.splitlines()
    bars.time.sleep(0.03)
    assert log.getvalue() == said
    assert not {"\r", "\x1b"} & set(said)
