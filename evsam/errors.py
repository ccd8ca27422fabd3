"""The one error type a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SambenchError(Exception):
    """Something the user can put right: the message says what, where and what to do.

    The command line prints it without a stack trace and exits with code 2.
    """


class NotApplicableError(SambenchError):
    """A model cannot be asked this at all, as some engines cannot run it: no number, and nobody's failure."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest of ``known``, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
