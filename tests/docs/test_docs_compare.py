"""What docs/compare-two-models.md says of rows and of a workflow, held against the code and the parser."""

from __future__ import annotations

import dataclasses
import re
import shlex

import yaml
from pages import ROOT, blocks_of
from test_docs_commands import parsed

from sambench.reports.differences import Difference

PAGE = ROOT / "docs" / "compare-two-models.md"


def test_the_page_has_the_keys_of_a_row() -> None:
    part = PAGE.read_text().split("\n## Rows\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", part, re.M)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.name for field in dataclasses.fields(Difference)}


def test_the_parser_takes_the_commands_of_the_workflow() -> None:
    (block,) = [block for block in blocks_of(PAGE) if block.language == "yaml"]
    steps = yaml.safe_load(block.text)["jobs"]["compare"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("sambench ")]
    assert [words[1] for words in commands] == ["data", "run", "run", "compare", "report"]
    for words in commands:
        parsed(words[1:])
    out = [words[words.index("--out") + 1] for words in commands if "--out" in words]
    assert commands[3][2:4] == out[1:3]  # it compares what was run
    assert steps[-1]["with"]["path"] == out[-1]  # and keeps the report
