"""The table of faults on docs/reliability.md, held against what `make faults` measured."""

from __future__ import annotations

from pages import ROOT

from benchmarks.faults.table import markdown, read

TRIALS = read(ROOT / "benchmarks" / "results" / "faults-cpu.json")


def test_the_page_has_the_table_of_the_results() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert "\n".join(markdown(TRIALS)) in page


def test_nothing_was_wrong_and_all_executors_were_killed() -> None:
    assert [trial for trial in TRIALS if trial["wrong"]] == []
    kills = [trial for trial in TRIALS if trial["fault"].startswith("SIGKILL")]
    assert {trial["executor"].split(",")[0] for trial in kills} >= {"inline", "processes", "torchrun", "ray"}
    assert {trial["when"] for trial in kills} == {"starting", "computing", "writing", "scoring"}
    assert {suite for trial in kills for suite in trial["suites"].split(", ")} >= {
        *("gt_box", "click", "det_box", "everything")
    }


def test_a_row_counts_and_takes_the_worst() -> None:
    one = {"fault": "f", "executor": "processes, 2", "seconds": 1.0, "left_s": 0.5, "lost": 0, "said": ""}
    rows = markdown(
        [one | {"code": 130, "said": "Stopped; what is finished is kept."}, one | {"code": -9, "lost": 7}]
    )
    assert rows[2].startswith("| f | `processes` | 2 | 1.5 s | 7 | ")
    assert "the command to go on with; or the shell's word" in rows[2]
    assert markdown([one | {"code": 0}])[2] == "| f | `processes` | 1 | - | none | nothing; the run goes on |"
