"""A device that nobody tried: said once, recorded beside the number. And what does not decide a number.

There is no such device here. The machine pretends to have one, and what is to compute there computes on the
CPU: this shows what the harness does around it, and nothing of the device.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command import call, cells_of
from tiny_coco import TinyCoco

CPU = torch.device("cpu")


def test_a_run_on_an_untried_device_says_so_and_marks_its_numbers(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr("sambench.adapters.registry.check_device", lambda name: CPU)
    out = tmp_path / "out"
    flags = ("--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)
    done = call("run", *flags, "--device", "mps", "--engine", "eager,compile")
    assert done.code == 0, done.err
    assert done.err.count("device mps: untested") == 1
    ran, other = cells_of(out)
    assert ran["status"] == "done"
    assert ran["provenance"]["device"].startswith("mps of ")
    assert ran["provenance"]["device"].endswith(" (untested)")
    assert ran["provenance"]["batch_size"] == 1
    assert (other["engine"], other["status"]) == ("compile", "not_applicable")
    assert "(untested)" in (out / "report.md").read_text()


def test_a_speed_on_an_untried_device_is_refused_and_so_is_a_device_that_is_not_there(
    tiny: TinyCoco, tmp_path: Path
) -> None:
    flags = ("--models", "box", *tiny.flags, "--out", tmp_path / "out", "--device", "mps")
    refused = call("throughput", *flags)
    assert (refused.code, refused.out) == (2, "")
    assert "speeds are measured on cpu and cuda" in refused.err
    absent = call("run", *flags, "--suites", "gt_box")
    assert absent.code == 2
    assert absent.err.splitlines() == [
        "error: device 'mps': torch can use cpu on this machine. Say --device cpu."
    ]
    assert not (tmp_path / "out").exists()


def test_another_version_of_sambench_computes_and_scores_nothing_again(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every commit has a version of its own; what decides a number is the code, by its digest."""
    out = tmp_path / "out"
    flags = ("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)

    def versioned(version: str) -> dict[str, str]:
        for module in ("provenance", "finish"):
            monkeypatch.setattr(f"sambench.harness.{module}.version", lambda: version)
        done = call(*flags)
        assert done.code == 0, done.err
        (cell,) = cells_of(out)
        return dict(cell["provenance"]["versions"])

    def files() -> dict[str, int]:
        return {str(f): f.stat().st_mtime_ns for f in (out / "records").rglob("*") if f.is_file()}

    assert versioned("0.1.0")["sambench"] == "0.1.0"
    before = files()
    assert versioned("0.1.0+12.g1cf418b")["sambench"] == "0.1.0+12.g1cf418b"
    assert files() == before
