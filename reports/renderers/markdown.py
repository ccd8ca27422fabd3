"""A table as Markdown."""

from __future__ import annotations

from sambench.reports import words
from sambench.reports.model import Column, Row, Table, Value


def render(table: Table) -> str:
    """Return heading, table and notes; a number's interval and the published one stand behind it."""
    head = f"## {escape(table.title)}" + (f" on {escape(table.on)}" if table.on else "")
    lines = [head, ""]
    if table.about:
        lines += [escape(table.about), ""]
    lines.append("| Model | " + " | ".join(escape(column.heading) for column in table.columns) + " |")
    lines.append("|:--|" + "--:|" * len(table.columns))
    lines += [_row(row, table) for row in table.rows]
    if table.bounds:
        lines += ["", escape(table.bounds)]
    if table.notes:
        lines += ["", *(f"{n}. {escape(note)}" for n, note in enumerate(table.notes, start=1))]
    return "\n".join(lines) + "\n"


def _row(row: Row, table: Table) -> str:
    marks = f" [{', '.join(map(str, row.notes))}]" if row.notes else ""
    name = escape(row.name) + (f" ({escape(', '.join(row.said))})" if row.said else "") + marks
    if row.status:
        return f"| {name} | {escape(f'{row.status}: {row.reason}')} |" + " |" * (len(table.columns) - 1)
    numbers = (_value(v, column) for v, column in zip(row.values, table.columns, strict=True))
    return f"| {name} | " + " | ".join(numbers) + " |"


def _value(value: Value, column: Column) -> str:
    found = []
    if value.measured is not None:
        low_high = "-".join(map(column.write, value.interval or ()))
        behind = "; ".join(filter(None, [low_high, words.bound(value.bound)]))
        found.append(f"**{column.write(value.measured)}**" + (f" ({behind})" if behind else ""))
    if value.published is not None:
        found.append(f"{column.published or 'paper'} {column.write_published(value.published)}")
    if value.delta is not None:
        found.append(column.difference(value.delta))
    if value.verdict and value.measured is not None:
        found.append(value.verdict)
    return escape(", ".join(found), but="*") if found else "&ndash;"


def escape(text: object, but: str = "") -> str:
    """Keep text from being read as Markdown or HTML, on one line of a table.

    Args:
        text: anything.
        but: characters that are meant as Markdown.
    """
    escaped = "".join(
        f"\\{c}" if c in "\\`*_[]|#" and c not in but else c for c in " ".join(str(text).split())
    )
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
