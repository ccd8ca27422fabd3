"""The command line's parts: all take the options of `verbosity`; a group without a command shows its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sambench.harness.cli.track import spelled_out
from sambench.harness.cli.verbosity import parameters

SHARED = parameters()

if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _Spoken(_Base):
    """Has the shared options behind its own, before ``--help``."""

    def get_params(self, ctx: Any) -> list[Any]:
        *own, help_ = super().get_params(ctx)
        return [*own, *SHARED, help_]


class _Command(_Spoken, TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take a ``--track`` without a name for one with the default."""
        return super().parse_args(ctx, spelled_out(args))


class _Group(_Spoken, TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take no arguments for ``--help``: a bare name asks what there is, and that is no error."""
        wants_help = not args and not ctx.resilient_parsing
        return super().parse_args(ctx, ["--help"] if wants_help else args)


class App(typer.Typer):
    """A group of commands: ``sambench`` itself, or one such as ``sambench data``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, rich_markup_mode="markdown", pretty_exceptions_enable=False, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Return a decorator that adds a command."""
        return super().command(name, cls=_Command, **settings)
