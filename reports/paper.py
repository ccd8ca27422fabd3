"""The paper's own tables, 1 to 5 and section 4.4, filled from whatever runs there are.

A row is a model; its numbers may come from several cells, each the one that may be compared with the paper,
or else the nearest to it. What is not comparable, or was not run, says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sambench.reports import comparable, published
from sambench.reports.cells import Entry
from sambench.reports.model import Column, Notes, Row, Table, Value
from sambench.reports.speed import PAPER, SUITE, speed_value
from sambench.reports.tables import published_value, value_beside
from sambench.reports.words import model_rank
from sambench.suites import naming


@dataclass(frozen=True)
class Question:
    """One column of a table of the paper: what was asked."""

    column: Column
    suite: str
    dataset: str


@dataclass(frozen=True)
class _Spec:
    name: str
    title: str
    questions: tuple[Question, ...]


_SIZES = {"": "All", "_small": "Small", "_medium": "Medium", "_large": "Large"}


def _sized(metric: str, suite: str, groups: dict[str, str]) -> tuple[Question, ...]:
    """Ask for a metric overall and by size, on several data sets, each under its heading."""
    return tuple(
        Question(Column(metric + end, title, group, published="paper"), suite, dataset)
        for dataset, group in groups.items()
        for end, title in _SIZES.items()
    )


_SPEC = (
    _Spec(
        "table-1",
        "Table 1: parameters, MACs, throughput and zero-shot instance segmentation",
        (
            Question(Column("params_m", "Params, M", published="paper"), SUITE, ""),
            Question(Column("encoder_macs_g", "MACs, G", published="paper", digits=None), SUITE, ""),
            Question(
                Column("img_s", "img/s", published="A100", digits=None, spread="lowest and highest round"),
                SUITE,
                "",
            ),
            Question(Column("ap", "COCO AP", published="paper"), "det_box", "coco/vitdet"),
        ),
    ),
    _Spec(
        "table-2",
        "Table 2: zero-shot clicks, mIoU",
        tuple(
            Question(
                Column(f"miou_{k}", f"{k} click{'s' * (k > 1)}", group, published="paper"), "click", dataset
            )
            for dataset, group in {"coco": "COCO", "lvis": "LVIS"}.items()
            for k in (1, 3, 5)
        ),
    ),
    _Spec(
        "table-3",
        "Table 3: zero-shot ground-truth boxes, mIoU",
        _sized("miou", "gt_box", {"coco": "COCO", "lvis": "LVIS"}),
    ),
    _Spec(
        "table-4",
        "Table 4: zero-shot instance segmentation, boxes of ViTDet, AP",
        _sized("ap", "det_box", {"coco/vitdet": "COCO", "lvis/vitdet": "LVIS"}),
    ),
    _Spec(
        "table-5",
        "Table 5: zero-shot instance segmentation on COCO, boxes of other detectors, AP",
        _sized("ap", "det_box", {"coco/yolov8": "YOLOv8", "coco/gdino": "Grounding DINO"}),
    ),
    _Spec(
        "section-4.4",
        "Section 4.4: Segmentation in the Wild, mean AP of 25 data sets",
        (Question(Column("ap", "Mean AP", published="paper"), "sginw", "sginw/gdino"),),
    ),
)
"""Captions in our words; contents as in arXiv 2402.05008."""


def paper_tables(entries: Sequence[Entry]) -> list[Table]:
    """Return the paper's tables of which a number was measured, each with all of the paper's models."""
    tables = [_build(spec, entries) for spec in _SPEC]
    return [table for table in tables if any(row.measured for row in table.rows)]


def unmeasured(tables: Sequence[Table]) -> list[str]:
    """Return the titles of the paper's tables that are not among some, as no number of them was measured."""
    made = {table.name for table in tables}
    return [spec.title for spec in _SPEC if spec.name not in made]


def _build(spec: _Spec, entries: Sequence[Entry]) -> Table:
    asked = [[e for e in entries if _answers(e, question)] for question in spec.questions]
    of_paper = dict.fromkeys(m for question in spec.questions for m in _printed(question))
    own = dict.fromkeys(e.cell.model for its in asked for e in its if e.cell.status == "done")
    models = sorted({**of_paper, **own}, key=lambda m: (m not in of_paper, model_rank(m)))
    notes = Notes()
    rows = [_row(model, spec.questions, asked, notes) for model in models]
    return Table(
        kind="paper",
        name=spec.name,
        title=spec.title,
        about="Models of the paper first. A number is of the cell that may be compared with the paper, or "
        "else of the nearest to it. Published: EfficientViT-SAM (Zhang, Cai, Han; arXiv 2402.05008).",
        columns=tuple(
            dataclasses.replace(q.column, printed=published.decimals(*_block(q), q.column.metric))
            for q in spec.questions
        ),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        source="arXiv 2402.05008",
    )


def _printed(question: Question) -> list[str]:
    """Return the models of which the paper prints the number."""
    block, metric = _block(question), question.column.metric
    found = {model: published.lookup(*block, model) for model in published.models_of(*block)}
    return [model for model, paper in found.items() if paper and metric in paper.printed]


def _block(question: Question) -> tuple[str, str]:
    """Return where `reports.published` keeps a question's numbers."""
    return PAPER if question.suite == SUITE else (question.suite, question.dataset)


def _answers(entry: Entry, question: Question) -> bool:
    cell = entry.cell
    if cell.suite != question.suite:
        return False
    if question.suite == SUITE:
        return (cell.protocol.get("scope"), cell.protocol.get("mode")) == ("E2E", "pipelined")
    return cell.dataset == question.dataset


def _row(model: str, questions: Sequence[Question], asked: Sequence[Sequence[Entry]], notes: Notes) -> Row:
    values = [
        _answer(model, question, [e for e in entries if e.cell.model == model])
        for question, entries in zip(questions, asked, strict=True)
    ]
    measured = [value.entry for value in values if value.measured is not None and value.entry]
    return Row(
        model,
        naming.title(model),
        tuple(values),
        tuple(dict.fromkeys(text for entry in measured for text in naming.departures(entry.cell))),
        () if measured else ("published, not run",),
        notes=_notes([question.column for question in questions], values, notes),
    )


def _notes(columns: Sequence[Column], values: Sequence[Value], notes: Notes) -> tuple[int, ...]:
    """Say why numbers of a row are not comparable: a note a reason, with its columns where they differ."""
    reasons: dict[str, list[str]] = {}
    measured = [(c, v) for c, v in zip(columns, values, strict=True) if v.measured is not None]
    for column, value in measured:
        if value.verdict == "not comparable":
            reasons.setdefault(value.why, []).append(column.heading)
    texts = (
        f"Not comparable{_columns(its) if len(its) < len(measured) else ''}: {why}."
        for why, its in reasons.items()
    )
    return tuple(sorted(map(notes.number, texts)))


def _columns(headings: Sequence[str]) -> str:
    return f" ({'; '.join(headings)})"


def _answer(model: str, question: Question, entries: Sequence[Entry]) -> Value:
    """Return the number of the cell that may be compared with the paper, or of the nearest to it."""
    metric = question.column.metric
    done = [e for e in entries if e.cell.status == "done" and e.cell.metrics.get(metric) is not None]
    if not done:
        return published_value(*_block(question), model, metric, _why_not(entries))
    if question.suite == SUITE:
        fastest = max(done, key=lambda e: e.cell.metrics.get("img_s") or 0.0)
        return speed_value(fastest, question.column)
    reasons = [comparable.reasons(entry) for entry in done]
    nearest = min(range(len(done)), key=lambda i: len(reasons[i]))  # the first among equals
    return value_beside(done[nearest], metric, reasons[nearest])


def _why_not(entries: Sequence[Entry]) -> str:
    """Say why a question has no answer."""
    for entry in entries:
        if entry.cell.status != "done":
            return f"{entry.cell.status.replace('_', ' ')}: {entry.cell.reason or 'no reason recorded'}"
    return "no number of this kind" if entries else "not run"
