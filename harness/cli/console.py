"""The two consoles of the command, and lists on them. Names and paths come from users: nothing is markup.

Results go to standard output; notes, warnings and progress to standard error.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sambench.harness.terminal import says, watched

if TYPE_CHECKING:
    from sambench.harness.config.content import Content

out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON for scripts, alone on standard output."""
    print(json.dumps(value, indent=1))


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool, shown: Sequence[str] = ()) -> None:
    """Print a list as JSON for scripts, or as a table of all or some of its columns."""
    if as_json:
        print_json(list(rows))
        return
    columns = shown or tuple(rows[0])
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*("-" if row[key] is None else str(row[key]) for key in columns))
    print_table(table)


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table: folded to the width of a terminal, and whole in a pipe or a file, a row a line."""
    console = console or out
    if watched(console):
        console.print(table)
        return
    options = console.options.update_width(table_width(table, console))
    for line in console.render_lines(table, options, pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def table_width(table: Table, console: Console) -> int:
    """Return how wide a table would be that nothing confines."""
    return console.measure(table, options=console.options.update_width(sys.maxsize)).maximum


def stacked(lines: Sequence[str], console: Console | None = None) -> str:
    """Return what belongs to one cell of a table: beneath each other on a terminal, else on one line."""
    return ("\n " if watched(console or out) else ", ").join(lines)


def say(text: str) -> None:
    """Print prose: wrapped between words on a terminal, a paragraph a line elsewhere."""
    out.print(text, soft_wrap=not watched(out))


def note(text: str) -> None:
    """Say something that is good to know, and is not said with ``--quiet``."""
    if says(logging.INFO):
        err.print(text, soft_wrap=True)


def warn(text: str) -> None:
    """Say what went wrong beside the work."""
    if says(logging.WARNING):
        err.print(f"warning: {text}", style="yellow", soft_wrap=True)


def note_unread(content: Content, command: str) -> None:
    """Say which keys of a configuration file another command reads."""
    if content.unread:
        keys = ", ".join(content.unread)
        note(f"{content.where}: 'sambench {command}' does not read {keys}")


def note_out(content: Content, folder: Path) -> None:
    """Say where results go, if that was not said."""
    if not content.has("out"):
        note(f"results go to {folder}; choose another folder with --out")


def warn_emulated(engines: Iterable[str], precisions: Iterable[str], device: str) -> None:
    """Warn of what is to be computed in a precision that this processor only emulates."""
    from sambench.adapters.engines.processor import emulated

    for engine, precision in itertools.product(engines, precisions):
        if text := emulated(engine, precision, device):
            warn(text)


def warn_untried(device: str) -> None:
    """Warn of a device that nobody tried sambench on."""
    from sambench.adapters.devices import untried

    if text := untried(device):
        warn(text)


def plain_table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """Return a table without lines whose cells fold; numbers stand at the right of their columns."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
