"""What of a mirror and of its store is the same: a line for each file, the last of a name counts."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from sambench.adapters.files import write_atomic


@dataclass(frozen=True)
class Same:
    """A file here and there, as it was when both were the same.

    Attributes:
        size: in bytes.
        time: of its last change here, in nanoseconds.
        print: as the store had it (`bucket.There`); ``None`` of what was sent and not looked at since.
    """

    size: int
    time: int
    print: str | None

    def is_of(self, file: Path) -> bool:
        """Tell whether a file here is still that one."""
        try:
            stat = file.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.time)


class Journal:
    """Written as each file arrives, so that a crash costs no more than sending the last one again.

    Attributes:
        entries: by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Same] = {}
        self._lock = threading.Lock()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        for line in lines:
            try:
                name, size, time, print_ = json.loads(line)
            except (ValueError, TypeError):  # of a crash
                continue
            self.entries[name] = Same(size, time, print_)

    def note(self, name: str, size: int, time: int, print_: str | None) -> None:
        """Note that a file is the same here and there."""
        line = json.dumps([name, size, time, print_]) + "\n"
        with self._lock:
            self.entries[name] = Same(size, time, print_)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)

    def drop(self, name: str) -> None:
        """Note that nothing is known of a file any more; `save` makes that last."""
        self.entries.pop(name, None)

    def save(self) -> None:
        """Write it anew, a line a file."""
        lines = [json.dumps([name, e.size, e.time, e.print]) + "\n" for name, e in self.entries.items()]
        write_atomic(self.path, "".join(lines).encode())
