"""A real object store on this machine, which a test can freeze, kill and start again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import fsspec

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "results"


class Store:
    """A ``moto_server``. What it holds is in its memory: one that is started again is empty."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_MAX_ATTEMPTS": "1"}

    def start(self) -> None:
        """Start it, with an empty bucket."""
        server = Path(sys.executable).with_name("moto_server")
        self.process = subprocess.Popen(
            [server, "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"MOTO_ALLOW_NONEXISTENT_REGION": "true"},
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "moto_server does not start"
                time.sleep(0.05)
        self.files().mkdir(BUCKET)

    def kill(self) -> None:
        """End it at once; all that it holds is lost."""
        self.process.kill()
        self.process.wait()

    def files(self) -> fsspec.AbstractFileSystem:
        """Its content, as another program sees it."""
        return fsspec.filesystem(
            "s3",
            key=KEYS["AWS_ACCESS_KEY_ID"],
            secret=KEYS["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=f"http://127.0.0.1:{self.port}",
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def names(self, place: str = "") -> list[str]:
        """What is in the bucket, below a place."""
        root = f"{BUCKET}/{place}".rstrip("/")
        return sorted(name.removeprefix(f"{root}/") for name in self.files().find(root))
