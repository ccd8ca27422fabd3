"""The two consoles of the command, and lists on them. Names and paths come from users: nothing is markup."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sambench.harness.config.content import Content

out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool, shown: Sequence[str] = ()) -> None:
    """Print a list as JSON for scripts, or as a table of all or some of its columns."""
    if as_json:
        print(json.dumps(list(rows), indent=1))
        return
    columns = shown or tuple(rows[0])
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*("-" if row[key] is None else str(row[key]) for key in columns))
    out.print(table)


def note(text: str) -> None:
    """Say what a user may want to know beside the work."""
    err.print(text, soft_wrap=True)


def warn(text: str) -> None:
    """Say what went wrong beside the work."""
    err.print(f"warning: {text}", style="yellow", soft_wrap=True)


def note_unread(content: Content, command: str) -> None:
    """Say which keys of a configuration file another command reads."""
    if content.unread:
        keys = ", ".join(content.unread)
        err.print(f"{content.where}: 'sambench {command}' does not read {keys}", soft_wrap=True)


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
