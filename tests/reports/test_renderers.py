"""One table in four languages: read back, every number is the one measured; LaTeX compiles."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess

import pytest
from fake_runs import cell, mini, write_run
from paper_runs import all_cells

from sambench.reports.cells import read_runs
from sambench.reports.content import content_of
from sambench.reports.model import Column, Row, Table, Value
from sambench.reports.renderers import csv_file, latex, markdown

HOSTILE = 'a & b_c% $d$ #{e} \\input{/etc/passwd} ~^ <b> | "q" `x` *y* [z](u) é 数据 \U0001f600'


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> list[Table]:
    """All tables of the paper's numbers, a fifth of a point beside them, and of a suite with failures."""
    cells = [*all_cells(0.2), mini("sam_vit_h"), cell("edge_sam", status="failed", reason=HOSTILE)]
    run = write_run(tmp_path_factory.mktemp("runs") / "run", cells)
    return [section.table for section in content_of(read_runs([run])).sections]


def hostile() -> Table:
    column = Column("m", HOSTILE, HOSTILE, published="paper")
    value = Value(1.25, (1.0, 1.5), 1.3, verdict="differs", why=HOSTILE)
    rows = (
        Row(HOSTILE, HOSTILE, (value, Value()), (HOSTILE,), (HOSTILE,), notes=(1,)),
        Row("x", "x", status="failed", reason=HOSTILE),
    )
    other = Column("n", HOSTILE, "other")
    return Table("suite", "hostile", HOSTILE, HOSTILE, (column, other), rows, (HOSTILE,), dataset=HOSTILE)


def values_of(table: Table):
    return [(row, c, v) for row in table.rows for c, v in zip(table.columns, row.values, strict=False)]


def test_csv_has_every_number_unrounded(tables):
    seen = 0
    for table in tables:
        found = list(csv.DictReader(io.StringIO(csv_file.render(table))))
        assert len(found) == len(table.rows)
        names = csv_file.column_names(table)
        assert len(set(names)) == len(names)
        for row, line in zip(table.rows, found, strict=True):
            assert line["model"] == row.model
            for name, value in zip(names, row.values, strict=False):
                low, high = value.interval or (None, None)
                wanted = {
                    "": value.measured,
                    "_low": low,
                    "_high": high,
                    "_bound": value.bound,
                    "_published": value.published,
                    "_difference": value.delta,
                    "_verdict": value.verdict,
                    "_why": value.why,
                }
                for part, what in wanted.items():
                    assert line[f"{name}{part}"] == ("" if what is None else str(what))
                    seen += what is not None
    assert seen > 500


def test_csv_tells_the_same_metric_of_two_data_sets_apart(tables):
    table = next(table for table in tables if table.name == "table-2")
    assert csv_file.column_names(table)[::3] == ["coco_miou_1", "lvis_miou_1"]


def test_markdown_has_every_number_as_it_is_printed(tables):
    for table in tables:
        lines = markdown.render(table).splitlines()
        body = [line for line in lines if line.startswith("|")][2:]
        assert len(body) == len(table.rows)
        for row, line in zip(table.rows, body, strict=True):
            fields = line.strip("|").split(" | ")
            assert fields[0].strip().startswith(markdown.escape(row.name))
            for column, value, field in zip(table.columns, row.values, fields[1:], strict=False):
                assert_says(field, column, value)


def assert_says(field: str, column: Column, value: Value) -> None:
    if value.measured is not None:
        assert f"**{column.write(value.measured)}**" in field
    if value.interval:
        assert "-".join(map(column.write, value.interval)) in field
    if value.published is not None:
        assert re.search(
            rf"(paper|script|A100) {re.escape(column.write_published(value.published))}\b", field
        )
    if value.delta is not None:
        assert column.difference(value.delta) in field
    if value.measured is not None and value.verdict:
        assert value.verdict in field


def test_a_table_of_markdown_stays_one_whatever_it_holds():
    text = markdown.render(hostile())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "<b>" not in text


def test_latex_has_every_number(tables):
    for table in tables:
        text = latex.render(table)
        for row, column, value in values_of(table):
            if value.measured is not None:
                assert latex.escape(column.write(value.measured)) in text, (row.name, column)
            if value.published is not None:
                assert f"({latex.escape(column.write_published(value.published))}" in text
            if value.delta is not None:
                printed = latex.escape(column.write_published(value.published))
                assert f"({printed}, ${latex.escape(column.difference(value.delta))}$)" in text


def need(tool: str) -> None:
    if shutil.which(tool) is None:
        reason = f"{tool} is not here: apt-get install texlive-latex-recommended poppler-utils"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def compiled(tables: list[Table], folder) -> str:
    """The text of the PDF that LaTeX makes of some tables."""
    need("pdflatex")
    need("pdftotext")
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}\begin{document}"
    parts = [latex.render(table) + r"\clearpage" for table in tables]
    (folder / "t.tex").write_text("\n".join([head, *parts, r"\end{document}"]), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "t.tex"]
    done = run(command, folder)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Overfull \\hbox" not in done.stdout
    return run(["pdftotext", "-layout", "t.pdf", "-"], folder).stdout


def run(command: list[str], folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120
    )


@pytest.mark.slow
def test_latex_compiles_and_the_pdf_has_every_number(tables, tmp_path):
    text = compiled(tables, tmp_path)
    for table in tables:
        for row, column, value in values_of(table):
            if value.measured is not None:
                assert column.write(value.measured) in text, (table.name, row.name, column)


@pytest.mark.slow
def test_latex_compiles_whatever_a_table_holds(tmp_path):
    text = compiled([hostile()], tmp_path)
    assert "\\input{/etc/passwd}" in re.sub(r"\s", "", text)  # as text, that is
    assert "root:" not in text
