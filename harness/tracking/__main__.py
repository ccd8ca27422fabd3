"""The process that sends while a command works: ``python -m sambench.harness.tracking NAME OUT COMMAND``.

Reads words from standard input: ``new`` where there is something to send, ``end`` for the rest (`live`). The
end of the input without that word means that the command died; what it left is sent just the same. Says on
standard output what it does, an object of JSON a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sambench.evsam.errors import SambenchError
from sambench.harness.tracking.push import UnreachableError, push
from sambench.harness.tracking.tracker import Tracker
from sambench.harness.tracking.trackers import make_tracker

PAUSE = 15.0
"""Seconds after an attempt that failed before another is made, unless it is the last."""
NICE = 10
"""The work comes first."""


def _say(**said: Any) -> None:
    with contextlib.suppress(OSError):  # the command died, and nobody listens
        print(json.dumps(said), flush=True)


def _listen(words: queue.Queue[str]) -> None:
    for line in sys.stdin:
        words.put(line.strip())
    words.put("end")


def main(name: str, out: Path, command: str) -> int:
    """Send until the command ends; return 0 where all of it arrived."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    words: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(words,), daemon=True).start()
    tracker: Tracker | None = None
    quiet_until = 0.0
    while True:
        word = words.get()
        while word != "end" and not words.empty():
            word = words.get()
        if word != "end" and time.monotonic() < quiet_until:
            continue
        try:
            tracker = tracker or make_tracker(name, out)
            push(out, tracker, lambda what, size: _say(sending=what, bytes=size), _running(word, command))
            _say(sent=tracker.where)
            failed = False
        except (SambenchError, UnreachableError) as error:
            _say(failed=str(error))
            failed, quiet_until = True, time.monotonic() + PAUSE
        if word == "end":
            return int(failed)


def _running(word: str, command: str) -> str | None:
    return None if word == "end" else command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
