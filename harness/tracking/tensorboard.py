"""TensorBoard: event files in ``OUT/tensorboard``, a folder for each command, cell and training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sambench.harness.tracking.content import Entry, Model, Point
from sambench.harness.tracking.tracker import Tracker

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


LONGEST = 100
"""Letters of a run's name in the name of its folder."""


class TensorboardTracker(Tracker):
    """Events beside the results: ``tensorboard --logdir OUT/tensorboard``.

    What a process wrote and then died before it was noted down is written again, with the same steps and
    times: TensorBoard shows it as one.

    Args:
        out: the folder whose content is shown.
    """

    name = "tensorboard"

    def __init__(self, out: Path) -> None:
        self.where = "tensorboard"  # beside the ledger, wherever the folder is moved
        self._root = out / "tensorboard"
        self._writers: dict[str, SummaryWriter] = {}

    def _writer(self, run: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if run not in self._writers:
            self._writers[run] = SummaryWriter(str(self._root / run))
        return self._writers[run]

    def find(self, identity: str) -> str | None:
        found = sorted(self._root.glob(f"*-{identity[:8]}"))
        return found[0].name if found else None

    def exists(self, run: str) -> bool:
        return (self._root / run).is_dir()

    def create(self, entry: Entry, identity: str, began: float, parent: str | None) -> str:
        run = f"{re.sub(r'[^A-Za-z0-9.]+', '_', entry.name).strip('_')[:LONGEST]}-{identity[:8]}"
        (self._root / run).mkdir(parents=True, exist_ok=True)
        return run

    def describe(self, run: str, params: Mapping[str, str]) -> None:
        if params:
            self._say(run, "parameters", params)

    def log(self, run: str, points: Sequence[Point]) -> None:
        writer = self._writer(run)
        for point in points:
            writer.add_scalar(point.name, point.value, point.step, point.time)
        writer.flush()  # for the ledger says next that they are there

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        self._say(run, "tags", tags)

    def _say(self, run: str, title: str, rows: Mapping[str, str]) -> None:
        self._writer(run).add_text(title, _table(rows))
        self._writer(run).flush()

    def upload(self, run: str, source: Path, place: str) -> None:
        """Show pictures; other files are beside the events anyway."""
        if source.suffix == ".png":
            import numpy as np
            from PIL import Image

            with Image.open(source) as image:
                self._writer(run).add_image(place, np.asarray(image.convert("RGB")), dataformats="HWC")
            self._writer(run).flush()

    def end(self, run: str, status: str, ended: float) -> None:
        """Nothing: the tags say it."""

    def register(self, run: str, model: Model) -> str:
        """Name the weights, which stay where they are."""
        self._say(run, "model", {"name": model.name, **model.tags})
        return model.sha256

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _table(rows: Mapping[str, str]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ")

    return "\n".join(["| | |", "|-|-|", *(f"| {cell(k)} | {cell(v)} |" for k, v in rows.items())])
