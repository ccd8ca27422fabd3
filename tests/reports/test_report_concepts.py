"""SA-Co/Gold's table: means over all seven subsets or none, published numbers beside, a row of one way."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from fake_concepts import concept, gold
from fake_runs import STRICT, cell, provenance, write_run
from page_reader import Page

from sambench.reports import page
from sambench.reports.cells import read_runs
from sambench.reports.concepts import GOLD, SILVER, mean_tables
from sambench.reports.content import content_of
from sambench.reports.made import describe
from sambench.reports.model import Row, Table
from sambench.reports.renderers import csv_file, latex, markdown
from sambench.reports.words import AXES
from sambench.suites.results import CellResult

PRINTED = (54.06, 0.82, 66.11, 47.26, 53.69, 61.08, 53.41, 65.52, 54.93, 42.53)
"""SAM 3 as the benchmark prints it: three means, then cgF1 by subset."""


def table_of(tmp_path: Path, *cells: CellResult) -> Table:
    (table,) = mean_tables(read_runs([write_run(tmp_path / "run", list(cells))]), set())
    return table


def rows(table: Table, model: str) -> list[Row]:
    return [row for row in table.rows if row.model == model]


def measured(row: Row) -> list[float | None]:
    return [value.measured for value in row.values]


def test_a_mean_is_over_the_seven_and_every_subset_in_its_column(tmp_path: Path) -> None:
    (row,) = rows(table_of(tmp_path, *reversed(gold("sam3", 40))), "sam3")
    pmf1 = [40 + n for n in range(7)]
    assert measured(row)[:3] == pytest.approx([sum(p * p / 80 for p in pmf1) / 7, 43 / 80, 43])
    assert measured(row)[3:] == pytest.approx([p * p / 80 for p in pmf1])
    assert [value.interval is None for value in row.values] == [True] * 3 + [False] * 7


def test_published_numbers_stand_beside_and_are_not_subtracted(tmp_path: Path) -> None:
    table = table_of(tmp_path, *gold("sam3"))
    (row,) = rows(table, "sam3")
    assert [value.published for value in row.values] == list(PRINTED)
    assert {(value.verdict, value.delta) for value in row.values} == {("", None)}
    assert [table.notes[n - 1].partition(" (")[0] for n in row.notes] == [
        "Published: saco, SA-Co/Gold, Results"
    ]


def test_models_that_were_not_run_stand_beneath_the_best_first(tmp_path: Path) -> None:
    table = table_of(tmp_path, *gold("sam3"))
    absent = [row for row in table.rows if not row.measured]
    means = [row.values[0].published for row in absent]
    assert len(absent) == 12
    assert means == sorted(means, key=lambda value: -(value or 0))
    assert absent[0].name == "Human"
    assert {"OWLv2*", "DINO-X", "APE", "Gemini 2.5", "LLMDet-L", "gDino-T"} <= {row.name for row in absent}
    assert all(row.said == ("published, not run",) for row in absent)


def test_six_subsets_have_no_mean_and_say_so(tmp_path: Path) -> None:
    table = table_of(tmp_path, *gold("sam3", skip=1), *gold("sam3_litetext_s0"))
    (six,), (seven,) = rows(table, "sam3"), rows(table, "sam3_litetext_s0")
    assert measured(six)[:3] == [None] * 3
    assert {value.why for value in six.values[:3]} == {"6 of 7 subsets"}
    assert "6 of 7 subsets" in six.said
    assert None not in measured(seven)
    assert not any("subsets" in words for words in seven.said)


def test_a_subset_that_failed_counts_as_missing_and_a_note_says_why(tmp_path: Path) -> None:
    failed = concept(
        "sam3", "saco_gold_wiki_common", status="failed", reason="No memory.", metrics={}, intervals={}
    )
    table = table_of(tmp_path, *gold("sam3", skip=1), failed)
    (row,) = rows(table, "sam3")
    assert (measured(row)[0], measured(row)[-1]) == (None, None)
    assert row.values[-1].why == "Wiki: failed, No memory."
    assert "Wiki: failed, No memory." in [table.notes[n - 1] for n in row.notes]


def test_a_number_that_a_cell_has_not_is_no_part_of_a_mean(tmp_path: Path) -> None:
    """Where no phrase is in any image there is no pmF1, and no mean of seven."""
    *some, last = gold("sam3")
    empty = concept("sam3", last.dataset, metrics={**last.metrics, "pmf1": None, "cgf1": None})
    (row,) = rows(table_of(tmp_path, *some, empty), "sam3")
    assert measured(row)[0] is None
    assert measured(row)[1] == pytest.approx(43 / 80)
    assert measured(row)[2] is None


def test_one_subset_alone_makes_no_table_nor_do_other_suites(tmp_path: Path) -> None:
    def made(*cells: CellResult) -> list[Table]:
        return mean_tables(read_runs([write_run(tmp_path / "run", list(cells))]), set())

    alone, also = concept("sam3", "saco_gold_crowded"), concept("sam3", "saco_gold_fg_food")
    assert made(alone, concept("sam3", "coco"), concept("sam3", "saco_silver_geode")) == []
    assert made(cell(), cell(suite="gt_box", dataset="saco_gold_crowded")) == []
    assert len(made(alone, also)) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": STRICT},
        {"precision": "fp16"},
        {"provenance": {**provenance(), "weights": {"source": "random", "seed": 0}}},
    ],
    ids=["protocol", "precision", "weights"],
)
def test_means_never_mix_what_was_made_in_two_ways(tmp_path: Path, other: dict[str, object]) -> None:
    cells = [*gold("sam3", skip=3), *gold("sam3", 60.0, **other)[4:]]
    found = rows(table_of(tmp_path, *cells), "sam3")
    assert [measured(row)[0] for row in found] == [None, None]
    assert [sum(value is not None for value in measured(row)) for row in found] == [4, 3]
    assert found[0].said != found[1].said


def test_subsets_of_several_runs_join_and_what_two_runs_have_is_two_rows(tmp_path: Path) -> None:
    first, second = gold("sam3")[:4], gold("sam3")[4:]
    a, b = write_run(tmp_path / "a", first), write_run(tmp_path / "b", second)
    again = write_run(tmp_path / "c", gold("sam3", 50))
    (table,) = mean_tables(read_runs([a, b]), set())
    (row,) = rows(table, "sam3")
    assert None not in measured(row)
    (table,) = mean_tables(read_runs([a, b, again]), set())
    one, two = rows(table, "sam3")
    assert (measured(one)[2], measured(two)[2]) == (43, 53)
    assert (one.tags, two.tags) == (("run a, b",), ("run c",))


def test_a_preset_is_one_protocol_though_it_asks_saco_otherwise_than_coco(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [cell(), concept("sam3", "coco"), *gold("sam3")])
    entries = read_runs([run])
    assert {entry.protocol for entry in entries} == {"paper"}
    (grid,) = (grid for grid in describe(entries) if grid.title == "Protocol")
    assert grid.head == ("Choice", "paper")
    said = {row[0].text: row[1] for row in grid.rows}
    assert not any(choice.marked for choice in said.values())
    kept = [AXES["instances"].values[value][1] for value in ("all", "above_0.3")]
    assert said["Instances of a phrase"].text == "; or ".join(kept)


def test_silver_has_a_table_too_and_neither_has_the_others_data_sets(tmp_path: Path) -> None:
    silver = [concept("sam3", dataset, 50) for dataset in SILVER.datasets]
    run = write_run(tmp_path / "run", [*gold("sam3", skip=2), *silver])
    one, ten = mean_tables(read_runs([run]), set())
    assert (one.name, ten.name) == ("concept-saco_gold", "concept-saco_silver")
    (mine,), (other,) = rows(one, "sam3"), rows(ten, "sam3")
    assert measured(mine)[0] is None
    pmf1 = [50 + n for n in range(10)]
    assert measured(other)[:3] == pytest.approx([sum(p * p / 80 for p in pmf1) / 10, 54.5 / 80, 54.5])
    assert measured(other)[3:] == pytest.approx([p * p / 80 for p in pmf1])
    assert [value.published for value in other.values][:4] == [49.57, 0.76, 65.17, 46.61]
    assert len(ten.columns) == 13


@pytest.mark.slow
def test_the_table_leads_the_suites_in_every_form_and_has_its_figure(tmp_path: Path) -> None:
    content = content_of(read_runs([write_run(tmp_path / "run", gold("sam3", skip=5))]))
    tables = [section.table for section in content.sections]
    assert tables[0].name == "concept-saco_gold"
    assert list(dict.fromkeys(table.dataset for table in tables[1:])) == list(GOLD.datasets)[:2]
    leading = [section for section in content.sections if "further" not in section.table.name]
    assert [len(section.figures) for section in leading] == [0, 1, 1]  # no mean of two
    fields = Page(page.render(content, [])).rows("concept-saco_gold")
    mine = next(found for name, found in fields.items() if re.match("SAM 3|sam3", name))
    assert re.findall(r"cited ([\d.]+)", " ".join(mine)) == [f"{value:.2f}" for value in PRINTED]
    found = {row["model"]: row for row in csv.DictReader(io.StringIO(csv_file.render(tables[0])))}
    assert float(found["sam3"]["cgf1_sa1b_nps"]) == pytest.approx(41 * 41 / 80)
    assert found["owlv2"]["pmf1_published"] == "36.8"
    assert "**20.00** (19.60-20.50), cited 47.26" in markdown.render(tables[0])
    assert r"{\scriptsize (66.11)}" in latex.render(tables[0])
