"""``sambench push``: results that are on disk, sent to a tracker."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.harness.cli import console, options
from sambench.harness.cli.bars import bar
from sambench.harness.cli.ending import interruptible

if TYPE_CHECKING:
    from sambench.harness.tracking.tracker import Tracker


def push(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, throughputs or trainings."),
    ],
    track: options.Track = None,
) -> None:
    """Send what a tracker does not have yet of runs that are on disk, each thing once.

    A run with --track does this while it works. What a server did not get then, or a run that was made
    without, is sent by this; a second time it changes nothing.

    **Example**: sambench push runs/coco runs/l0-finetuned --track mlflow
    """
    from sambench.harness.config.keys import split
    from sambench.harness.remote.places import fetched, returned
    from sambench.harness.tracking.trackers import DEFAULT, check_trackers, make_tracker

    names = split(track or DEFAULT)
    check_trackers(names, "--track")
    folders = [fetched(run, console.note) for run in runs]
    reached = [_send(make_tracker(name, out), out) for name in names for out in folders]
    for run in runs:
        returned(run)
    if not all(reached):
        raise typer.Exit(1)


def _send(tracker: Tracker, out: Path) -> bool:
    """Send a folder; return whether all of it arrived."""
    from sambench.harness.tracking.push import UnreachableError
    from sambench.harness.tracking.push import push as send

    number = itertools.count(1)
    try:
        with interruptible(), bar(f"sending {out}", "things") as advance:
            count = send(out, tracker, lambda *_: advance(next(number), None))
    except UnreachableError as error:
        console.err.print(f"{out}: not all of it arrived. {error}. Run it again.", soft_wrap=True)
        return False
    said = f"sent {count} things to" if count else "nothing new for"
    console.out.print(f"{out}: {said} {tracker.where}", soft_wrap=True)
    return True
