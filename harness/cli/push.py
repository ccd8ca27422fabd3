"""``sambench push``: results that are on disk, sent to a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sambench.harness.cli import console, options
from sambench.harness.cli.ending import interruptible


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
    from sambench.harness.tracking.push import UnreachableError
    from sambench.harness.tracking.push import push as send
    from sambench.harness.tracking.trackers import DEFAULT, check_trackers, make_tracker

    names = split(track or DEFAULT)
    check_trackers(names, "--track")
    reached = True
    for name in names:
        for out in runs:
            tracker = make_tracker(name, out)
            try:
                with interruptible(), console.err.status(f"Sending {out}") as status:
                    count = send(out, tracker, lambda what, _: status.update(f"Sending {what}"))
            except UnreachableError as error:
                console.err.print(f"{out}: not all of it arrived. {error}", soft_wrap=True)
                reached = False
                continue
            said = f"sent {count} things to" if count else "nothing new for"
            console.out.print(f"{out}: {said} {tracker.where}", soft_wrap=True)
    if not reached:
        raise typer.Exit(1)
