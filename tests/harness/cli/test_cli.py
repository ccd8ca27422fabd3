"""The command line besides ``run``: lists, help, reports and data sets."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from command import assert_nothing_half_written, call, ended, flags, started
from tiny_coco import TinyCoco

from sambench.adapters.models import REGISTRY
from sambench.adapters.version import version
from sambench.harness.cli import app as cli
from sambench.suites.gt_box import GtBox
from sambench.suites.registry import SUITES


def test_models_as_json_are_the_registry() -> None:
    done = call("models", "--json")
    assert done.code == 0
    rows = json.loads(done.out)
    assert [row["name"] for row in rows] == list(REGISTRY)
    assert all(row["title"] and row["source"] for row in rows)
    assert all(bool(row["licence"]) == bool(row["weights"]) for row in rows)  # baselines have neither
    weights = {row["name"]: row["weights"] for row in rows}
    assert weights["efficientvit_sam_xl1"] == "efficientvit_sam_xl1.pt"
    assert weights["box"] is None


def test_models_have_the_names_of_the_contract() -> None:
    variants = {f"efficientvit_sam_{v}" for v in ("l0", "l1", "l2", "xl0", "xl1")}
    assert variants | {"box", "ellipse", "grabcut"} <= set(REGISTRY)


def test_suites_as_json_are_the_registry() -> None:
    done = call("suites", "--json")
    assert done.code == 0
    assert [row["name"] for row in json.loads(done.out)] == list(SUITES)
    assert {"gt_box", "click"} <= set(SUITES)


@pytest.mark.parametrize(("command", "names"), [("models", REGISTRY), ("suites", SUITES)])
def test_lists_for_people_name_everything(command: str, names: dict[str, object]) -> None:
    shown = call(command).out
    assert all(any(line.startswith(f"{name} ") for line in shown.splitlines()) for name in names)


def test_doctor_says_what_the_machine_has() -> None:
    found = {row["what"]: row["found"] for row in json.loads(call("doctor", "--json").out)}
    assert found["torch"] == metadata.version("torch")
    assert "thread" in found["cpu"]
    assert "weights folder" in found


@pytest.fixture
def avx2_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that cannot do more."""
    monkeypatch.setattr("sambench.adapters.engines.processor._line", lambda *keys: "fma avx2")


@pytest.mark.usefixtures("avx2_alone")
def test_doctor_says_what_the_processor_can_and_what_it_only_emulates() -> None:
    found = {row["what"]: row["found"] for row in json.loads(call("doctor", "--json").out)}
    assert found["cpu instructions"].endswith(": avx2")
    assert found["emulated on the cpu"] == "bf16 (eager, compile, openvino)"


@pytest.mark.usefixtures("avx2_alone")
@pytest.mark.parametrize(
    "command", [["run", "--suites", "gt_box", "--dry-run"], ["throughput", "--dry-run"]], ids=" ".join
)
def test_a_precision_that_is_emulated_is_said_before_anything_runs(
    tiny: TinyCoco, tmp_path: Path, command: list[str]
) -> None:
    given = ["--models", "efficientvit_sam_l0", "--weights", "random", *tiny.flags, "--out", tmp_path / "out"]
    done = call(*command, *given, "--precision", "fp32,bf16")
    assert done.err.count("warning: eager in bf16: this processor") == 1
    assert "in fp32:" not in done.err


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["report"], ["models"], ["suites"], ["doctor"], ["data"], ["data", "make"]],
    ids=" ".join,
)
def test_every_command_has_help(command: list[str]) -> None:
    done = call(*command, "--help")
    assert done.code == 0
    assert "Usage" in done.out


@pytest.mark.parametrize(
    "arguments", [["fly"], ["report"], ["data", "make"], ["models", "--jsno"]], ids=" ".join
)
def test_a_command_that_is_not_understood_exits_2(arguments: list[str]) -> None:
    assert call(*arguments).code == 2


def test_a_run_of_nothing_says_what_to_name() -> None:
    done = call("run")
    assert done.code == 2
    assert "--models" in done.err


def test_a_report_of_a_missing_folder_exits_2_and_names_it(tmp_path: Path) -> None:
    done = call("report", tmp_path / "none", "--out", tmp_path / "report")
    assert done.code == 2
    assert str(tmp_path / "none") in done.err
    assert not (tmp_path / "report").exists()


def test_a_report_is_made_anew_from_a_run(tiny: TinyCoco, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", run).code == 0
    done = call("report", run, "--out", tmp_path / "report")
    assert done.code == 0
    for name in ("report.html", "report.md"):
        assert str(tmp_path / "report" / name) in done.out
        assert (tmp_path / "report" / name).read_bytes() == (run / name).read_bytes()
    assert_nothing_half_written(tmp_path / "report")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["shape"], "Did you mean 'shapes'?"),
        (["coco"], "there is shapes"),
        (["shapes", "--images", "0"], "1 to 100000 images"),
        (["shapes", "--seed", "-1"], "0 or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_data_that_cannot_be_made_exits_2_and_makes_nothing(
    tmp_path: Path, arguments: list[str], part: str
) -> None:
    done = call("data", "make", *arguments, "--out", tmp_path / "data")
    assert done.code == 2
    assert part in done.err
    assert list(tmp_path.iterdir()) == []


def test_data_are_made_once_and_another_folder_is_left_alone(tmp_path: Path) -> None:
    command = ["data", "make", "shapes", "--images", 2, "--out"]
    first = call(*command, tmp_path / "data")
    assert first.code == 0
    assert "made, 2 images" in first.out
    assert "is there already" in call(*command, tmp_path / "data").out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    refused = call(*command, tmp_path / "mine")
    assert refused.code == 2
    assert str(tmp_path / "mine") in refused.err
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["letter.txt"]


MARKED = "[red] out [bold]"  # what rich would take for its markup


def test_a_run_prints_paths_as_they_are(tiny: TinyCoco, tmp_path: Path) -> None:
    out = tmp_path / MARKED
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)
    assert done.code == 0
    for name in ("results.json", "report.html", "report.md"):
        assert str(out / name) in done.out


def test_a_report_prints_paths_as_they_are(tiny: TinyCoco, tmp_path: Path) -> None:
    call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "run")
    done = call("report", tmp_path / "run", "--out", tmp_path / MARKED)
    assert done.code == 0
    assert str(tmp_path / MARKED / "report.html") in done.out


def test_a_dry_run_prints_paths_as_they_are(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "[red] weights"))
    models = ["--models", "efficientvit_sam_l0", "--suites", "gt_box"]
    done = call("run", *models, *tiny.flags, "--out", tmp_path / MARKED, "--dry-run")
    assert done.code == 0
    assert f"out {tmp_path / MARKED}" in "".join(done.out.splitlines())
    assert str(tmp_path / "[red] weights" / "efficientvit_sam_l0.pt") in done.out


def test_data_print_paths_as_they_are(tmp_path: Path) -> None:
    done = call("data", "make", "shapes", "--images", 1, "--out", tmp_path / MARKED)
    assert done.code == 0
    assert str(tmp_path / MARKED) in done.out


def test_the_reason_of_a_failure_is_printed_as_it_is(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no key [red] in [/dev/shm]")

    monkeypatch.setattr(GtBox, "evaluate", broken)
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out")
    assert done.code == 1
    assert "no key [red] in [/dev/shm]" in done.out


def test_the_installed_command_is_this_one() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="sambench")
    assert script.load() is cli.main


@pytest.mark.slow
def test_a_failed_cell_makes_the_shell_see_exit_code_1(tiny: TinyCoco, tmp_path: Path) -> None:
    flags = [*tiny.flags, "--limit", 1, "--out", tmp_path / "out"]
    models = ["--models", "box,efficientvit_sam_l0", "--suites", "gt_box"]
    done = ended(started("run", *models, *flags, env={"SAMBENCH_WEIGHTS": str(tmp_path / "none")}))
    assert done.code == 1
    assert "no checkpoint at" in done.out
    assert "Traceback" not in done.err


def test_the_version_is_said() -> None:
    assert call("--version").out.strip() == version()


def test_the_report_of_one_run_goes_into_its_folder_and_of_several_needs_one(
    tiny: TinyCoco, fresh: Path
) -> None:
    assert call(*flags(tiny, fresh, "box", "gt_box")).code == 0
    (fresh / "report.html").unlink()
    assert call("report", fresh).code == 0
    assert (fresh / "report.html").exists()
    done = call("report", fresh, fresh)
    assert done.code == 2
    assert "--out" in done.err
