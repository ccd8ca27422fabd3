"""What the Tab key offers, as the shells' scripts ask for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command import ROOT, call

from sambench.adapters.engines import ENGINES, PRECISIONS
from sambench.adapters.models import REGISTRY
from sambench.harness.cli import complete
from sambench.harness.config.run import EVALUATORS
from sambench.suites.protocol import PRESETS
from sambench.suites.registry import SUITES
from sambench.suites.throughput.job import MODES, SCOPES

QUESTIONS = {
    "sambench thr": {"throughput"},
    "sambench data ve": {"verify"},
    "sambench run --models ": set(REGISTRY),
    "sambench run --models box,efficientvit_sam_l": {
        "box,efficientvit_sam_l0",
        "box,efficientvit_sam_l1",
        "box,efficientvit_sam_l2",
    },
    "sambench run --models box,llmdet": {"box,llmdet_t+", "box,llmdet_b+", "box,llmdet_l+"},
    "sambench run --models box,llmdet_t+mobile": {"box,llmdet_t+mobile_sam"},
    "sambench run --suites ": set(SUITES),
    "sambench run --suites gt_box,gt": set(),  # it is there already
    "sambench run --dataset co": {"coco"},
    "sambench run --engine ": set(ENGINES),
    "sambench run --precision fp32,": {f"fp32,{name}" for name in PRECISIONS if name != "fp32"},
    "sambench run --protocol ": set(PRESETS),
    "sambench run --log-level de": {"debug"},
    "sambench throughput --modes serial,p": {"serial,pipelined"},
    "sambench detect yolov8": {f"yolov8{size}" for size in "nsmlx"},
    "sambench show x.jpg --models tiny": {"tiny_sam"},
    "sambench weights fetch mob": {"mobile_sam"},
    "sambench export mob": {"mobile_sam"},
}


@pytest.mark.parametrize("line", QUESTIONS)
def test_a_name_is_completed_and_the_last_of_several(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SAMBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    done = call()
    assert done.code == 0
    assert set(done.out.split()) >= QUESTIONS[line]
    last = line.rpartition(" ")[2]
    assert all(offer.startswith(last) for offer in done.out.split())
    if not QUESTIONS[line]:
        assert not done.out.split()


def test_completion_imports_nothing_heavy() -> None:
    asked = "sambench run --models efficientvit_sam_l0,"
    code = (
        "import sys, atexit; from sambench.harness.cli import main, complete as c;"
        "[list(f()) for f in (c.models, c.models_with_weights, c.suites, c.datasets, c.detectors, c.engines,"
        " c.precisions, c.protocols)];"
        "atexit.register(lambda: print(sorted({'torch', 'numpy', 'cv2', 'pyarrow'} & set(sys.modules)), "
        "file=sys.stderr)); main()"
    )
    words = {"_SAMBENCH_COMPLETE": "complete_bash", "COMP_WORDS": asked, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | words,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "efficientvit_sam_l0,box" in done.stdout.split()
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SAMBENCH_COMPLETE", f"source_{shell}")
    done = call()
    assert done.code == 0
    assert f"_SAMBENCH_COMPLETE=complete_{shell}" in done.out


def test_names_that_are_written_twice_are_the_same() -> None:
    assert complete.EVALUATORS == EVALUATORS
    assert ("all", *SCOPES) == complete.SCOPES
    assert complete.MODES == MODES
