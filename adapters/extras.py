"""Optional parts: what a user is told whose environment lacks one, in the same words everywhere."""

from __future__ import annotations

from sambench.evsam.errors import SambenchError


class MissingExtraError(SambenchError):
    """A part that is not installed was asked for; the message says how to have it."""


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'sambench[{extra}]'"


def missing(what: str, needs: object, extra: str, more: str = "") -> MissingExtraError:
    """Return the error of something that needs what is not installed.

    Args:
        what: is asked for, such as ``engine openvino``.
        needs: the libraries in words, or the error of an import.
        extra: of ``pyproject.toml``, which has them.
        more: to add, such as another way to have them.
    """
    if isinstance(needs, ImportError):
        absent = isinstance(needs, ModuleNotFoundError) and needs.name
        needs = absent or f"what cannot be imported ({' '.join(str(needs).split())[:200]})"
    return MissingExtraError(f"{what} needs {needs}, which is not installed. Say: {install(extra)}{more}")
