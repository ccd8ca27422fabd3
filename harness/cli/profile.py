"""``sambench profile``: parameters and multiply-accumulates of models, beside the paper's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sambench.harness.cli import complete, console, options

if TYPE_CHECKING:
    from sambench.adapters.profile import Module, Profile


PAPER = ("efficiency", "coco")
"""Where `reports.published` keeps the paper's Table 1."""


def profile(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            autocompletion=complete.one(complete.models),
            help="Models; without any, those of Table 1.",
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option(min=0, help="Also list the encoder's modules, so many levels deep.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Count parameters and the image encoder's multiply-accumulates.

    MACs are of one image at the encoder's own input size, twice: in the convention of the paper's Table 1
    (convolutions, linear layers, matrix products, one for each element of norms, products and means, nothing
    for einsum), and plain (all products of convolutions and matrices). Needs no weights; computes nothing.

    **Example**: sambench profile sam_vit_h efficientvit_sam_l0 --depth 2
    """
    from sambench.adapters.profile import profile as count
    from sambench.reports.published import models_of

    profiles = [count(name) for name in models or models_of(*PAPER)]
    if as_json:
        console.print_json([_as_json(p, depth) for p in profiles])
        return
    _show(profiles)
    for one in profiles if depth else ():
        _show_modules(one, depth)


def _as_json(one: Profile, depth: int) -> dict[str, Any]:
    from sambench.reports.published import footnote, lookup

    paper = lookup(*PAPER, one.model)
    content: dict[str, Any] = {
        "model": one.model,
        "input_size": one.input_size,
        "params_m": one.params / 1e6,
        "unused_params_m": one.unused_params / 1e6,
        "encoder_params_m": one.encoder.params / 1e6,
        "encoder_macs_g": one.encoder.macs.paper / 1e9,
        "encoder_macs_plain_g": one.encoder.macs.plain / 1e9,
        "published": {k: paper.values[k] for k in ("params_m", "encoder_macs_g")} if paper else None,
        "source": paper.source if paper else None,
        "footnote": footnote(*PAPER, one.model),
    }
    if depth:
        content["modules"] = [
            {
                "name": m.name,
                "params_m": m.params / 1e6,
                "macs_g": m.macs.paper / 1e9,
                "macs_plain_g": m.macs.plain / 1e9,
            }
            for m in _down_to(one, depth)
        ]
    return content


def _show(profiles: Sequence[Profile]) -> None:
    from sambench.reports.published import footnote, lookup
    from sambench.suites.naming import title

    numbers = ("input", "params M", "paper", "encoder M", "MACs G", "paper", "plain G")
    table = console.plain_table("model", *numbers, right=numbers)
    notes: list[str] = []
    for one in profiles:
        paper = lookup(*PAPER, one.model)
        params, macs = (
            (f"{paper.values['params_m']:.1f}", f"{paper.values['encoder_macs_g']:.0f}")
            if paper
            else ("-", "-")
        )
        mark = ""
        if note := footnote(*PAPER, one.model):
            notes.append(f"{title(one.model)}: {note}")
            mark = f" [{len(notes)}]"
        table.add_row(
            one.model + mark,
            str(one.input_size),
            f"{one.params / 1e6:.1f}",
            params,
            f"{one.encoder.params / 1e6:.1f}",
            _giga(one.encoder.macs.paper),
            macs,
            _giga(one.encoder.macs.plain),
        )
    console.print_table(table)
    for number, note in enumerate(notes, 1):
        console.say(f"[{number}] {note}")


def _show_modules(one: Profile, depth: int) -> None:
    numbers = ("params M", "MACs G", "share", "plain G")
    table = console.plain_table("module", *numbers, title=one.model, right=numbers)
    whole = one.encoder.macs.paper
    for m in _down_to(one, depth):
        share = f"{100 * m.macs.paper / whole:.1f}%"
        table.add_row(m.name, f"{m.params / 1e6:.2f}", _giga(m.macs.paper), share, _giga(m.macs.plain))
    console.out.print()
    console.print_table(table)


def _down_to(one: Profile, depth: int) -> list[Module]:
    """Return the modules down to a depth, the encoder itself being at none."""
    return [m for m in one.modules if m.name.count(".") <= depth]


def _giga(macs: int) -> str:
    return f"{macs / 1e9:.2f}"
