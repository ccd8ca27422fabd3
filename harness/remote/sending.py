"""Sending a run's files to a store while it works, in a thread that the work never waits for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sambench.evsam.errors import SambenchError
from sambench.harness.events import Listener
from sambench.suites.results import CellResult

if TYPE_CHECKING:
    from sambench.harness.remote.mirror import Mirror

EVERY = 1.0
"""Seconds between two looks for new files, or twenty times what one takes, if that is more."""
RETRY = 30.0
"""Seconds until a store that did not answer is asked again."""
LAST = 60.0
"""Seconds to wait in the end for what is on its way."""


class Sender(Listener):
    """Sends what is written into a mirror; in the end results are put together with those of other machines.

    Args:
        mirror: of the run's folder.
        warn: is told once that the store does not answer.
        note: is told what is fetched.
    """

    def __init__(self, mirror: Mirror, warn: Callable[[str], None], note: Callable[[str], None]) -> None:
        self._mirror, self._warn, self._note = mirror, warn, note
        self._stop, self._said = threading.Event(), False
        # A daemon: an interrupted command does not wait for a store.
        self._thread = threading.Thread(target=self._keep_sending, name="sending", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more than the file that is on its way; do not wait for it."""
        self._stop.set()

    def run_done(self, cells: Sequence[CellResult]) -> None:
        """Send all, add the cells to the results there, and get what the report says of those of others."""
        del cells
        self._end()
        try:
            self._mirror.push_all()
            self._mirror.pull(self._note)
            self._mirror.share_results()
        except SambenchError as error:
            self._say(error)

    def finish(self) -> None:
        """Send what is not there yet.

        Raises:
            SambenchError: the store does not answer; everything is in the mirror.
        """
        self._end()
        try:
            self._mirror.push_all()
            self._mirror.share_results()
        except SambenchError as error:
            raise SambenchError(
                f"{error} Not all is there. Everything is in {self._mirror.folder}, and the same command "
                "sends the rest: it computes nothing again."
            ) from None

    def _end(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(LAST)

    def _keep_sending(self) -> None:
        pause = EVERY
        while not self._stop.wait(pause):
            began = time.monotonic()
            try:
                self._mirror.push(self._stop.is_set)
            except SambenchError as error:
                self._say(error)
                pause = RETRY
            else:
                pause = max(EVERY, 20 * (time.monotonic() - began))

    def _say(self, error: SambenchError) -> None:
        if not self._said:
            self._said = True
            self._warn(
                f"{error} The run goes on, in {self._mirror.folder}, and sends it when the store answers."
            )


@contextlib.contextmanager
def sending(
    url: str | None,
    folder: Path,
    warn: Callable[[str], None],
    note: Callable[[str], None],
    *,
    meanwhile: bool = True,
) -> Iterator[Listener]:
    """Send what is written into a mirror while the block lasts, and the rest at its end.

    What an interruption leaves unsent is sent by the next command.

    Args:
        url: of the store; without one nothing is sent.
        folder: that mirrors it (`places.placed`).
        warn: is told once that the store does not answer.
        note: is told what is fetched.
        meanwhile: whether to send before the end too; a speed is not measured beside it.

    Raises:
        SambenchError: not all could be sent in the end.
    """
    if url is None:
        yield Listener()
        return
    from sambench.harness.remote.bucket import Bucket
    from sambench.harness.remote.mirror import Mirror

    sender = Sender(Mirror(folder, Bucket(url)), warn, note)
    if meanwhile:
        sender.start()
    try:
        yield sender
    except BaseException:
        sender.stop()
        raise
    sender.finish()
