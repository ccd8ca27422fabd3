"""What is read is what a run was planned with."""

from __future__ import annotations

from pathlib import Path

from sambench.evsam.errors import SambenchError


def refuse_changed(path: Path, found: str, planned: str | None) -> None:
    """See that what is read is what a run was planned with.

    Args:
        path: the file or folder, for the message.
        found: SHA-256 of what was read.
        planned: SHA-256 of what was planned with; ``None`` where there was no plan.

    Raises:
        SambenchError: it is not.
    """
    if planned not in (None, found):
        raise SambenchError(f"{path}: changed since this run was planned; run the same command again.")
