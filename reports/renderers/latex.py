"""A table as LaTeX with booktabs, to be put into a paper."""

from __future__ import annotations

from collections.abc import Sequence

from sambench.reports import words
from sambench.reports.model import Column, Row, Table, Value

MARKS = {"reproduced": "=", "differs": r"\neq", "not comparable": r"\not\sim"}
"""What stands behind a measured number beside which one is published."""

LATIN_1 = 256
"""Letters below this code point are in LaTeX's usual fonts."""

_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\u00d7": r"$\times$",
    "\u00b1": r"$\pm$",
    "\u00b2": r"$^2$",
    "\u2013": "--",
    "\u2212": "$-$",
    "\u2026": r"\dots{}",
}


def render(table: Table) -> str:
    """Return a ``table`` environment: measured, beneath it interval and bound, then the published number.

    It is as wide as the text where it would be wider. A legend explains the marks.
    """
    numbers = "r" * len(table.columns)
    lines = [
        "% Needs \\usepackage{booktabs,graphicx}.",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escape(_caption(table))}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{numbers}}}",
        r"\toprule",
        *_head(table),
        r"\midrule",
        *_body(table),
        r"\bottomrule",
        r"\end{tabular}}",
        *_legend(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: object) -> str:
    """Keep text from being read as commands; what the usual fonts have not is shown by its code point."""
    return "".join(map(_letter, " ".join(str(text).split())))


def _letter(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    usual = (c.isascii() and c.isprintable()) or (c.isalpha() and ord(c) < LATIN_1)
    return c if usual else f"U+{ord(c):04X}"


def _caption(table: Table) -> str:
    """Return the title; a number that the paper gave its table would stand beside LaTeX's own."""
    if table.kind == "paper":
        number, _, title = table.title.partition(": ")
        return f"{title[:1].upper()}{title[1:]} ({number} of the EfficientViT-SAM paper)."
    return table.title + (f" on {table.on}" if table.on else "") + "."


def _head(table: Table) -> list[str]:
    titles = "Model & " + " & ".join(escape(column.title) for column in table.columns) + r" \\"
    if len(table.groups) < 2:
        return [titles]
    spans, rules, at = [], [], 2
    for name, columns in table.groups:
        spans.append(rf"\multicolumn{{{len(columns)}}}{{c}}{{{escape(name)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + len(columns) - 1}}}")
        at += len(columns)
    return [" & " + " & ".join(spans) + r" \\", "".join(rules), titles]


def _body(table: Table) -> list[str]:
    lines: list[str] = []
    for row in table.rows:
        if lines:
            lines.append(r"\addlinespace")
        lines += _row(row, table.columns)
    return lines


def _row(row: Row, columns: Sequence[Column]) -> list[str]:
    """Return a row's lines: the name with what was measured, then what stands beneath, where there is any."""
    marks = f"$^{{{','.join(map(str, row.notes))}}}$" if row.notes else ""
    name, said = escape(row.name) + marks, escape(", ".join(row.said))
    if row.status:
        first = rf"{name} & \multicolumn{{{len(columns)}}}{{l}}{{{escape(row.status)}}} \\"
        return [first, *([rf"\quad{{\scriptsize {said}}} \\"] if said else [])]
    pairs = list(zip(row.values, columns, strict=True))
    lines = [[_measured(v, c) for v, c in pairs], [_interval(v, c) for v, c in pairs]]
    lines += [[_published(v, c) for v, c in pairs]]
    firsts = [name, rf"\quad{{\scriptsize {said}}}" if said else "", ""]
    return [
        " & ".join([first, *line]) + r" \\"
        for first, line in zip(firsts, lines, strict=True)
        if first or any(line)
    ]


def _measured(value: Value, column: Column) -> str:
    if value.measured is None:
        return "" if value.published is not None else "--"
    mark = MARKS.get(value.verdict)
    return escape(column.write(value.measured)) + (f"$^{{{mark}}}$" if mark else "")


def _interval(value: Value, column: Column) -> str:
    low_high = "--".join(escape(column.write(end)) for end in value.interval or ())
    found = ", ".join(filter(None, [low_high, escape(words.bound(value.bound))]))
    return rf"{{\scriptsize {found}}}" if found else ""


def _published(value: Value, column: Column) -> str:
    if value.published is None:
        return ""
    delta = "" if value.delta is None else f", ${escape(column.difference(value.delta))}$"
    return rf"{{\scriptsize ({escape(column.write_published(value.published))}{delta})}}"


def _legend(table: Table) -> list[str]:
    """Return what stands beneath the table, smaller."""
    shown = {value.verdict for row in table.rows for value in row.values if value.measured is not None}
    said = [escape(table.about)] if table.about else []
    marks = [f"${MARKS[word]}$ {word}" for word in MARKS if word in shown]
    if table.any_published:
        marks.append(
            "in brackets the published number, and measured minus published where both are comparable"
        )
    said += ["; ".join(marks) + "."] if marks else []
    said += [escape(table.bounds)] if table.bounds else []
    said += [f"$^{{{n}}}$ {escape(note)}" for n, note in enumerate(table.notes, start=1)]
    said += [escape(f"{row.name}, {row.status}: {row.reason}.") for row in table.rows if row.status]
    return [r"\par\smallskip{\footnotesize\raggedright " + r"\par ".join(said) + r"\par}"] if said else []
