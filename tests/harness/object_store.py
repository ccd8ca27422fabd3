"""A real object store on this machine, which a test can freeze, kill and start again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import fsspec

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "results"


READING = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}


class Store:
    """A ``moto_server``. What it holds is in its memory: one that is started again is empty."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    def close_to_all_but_a_reader(self) -> dict[str, str]:
        """Let it ask for credentials from now on; return those of one who may read."""
        place: dict[str, Any] = {"endpoint_url": self.url, "region_name": KEYS["AWS_DEFAULT_REGION"]}
        iam = boto3.client("iam", aws_access_key_id="a", aws_secret_access_key="b", **place)
        iam.create_user(UserName="reader")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [READING]})
        iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        text = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", text, method="POST")
        urllib.request.urlopen(asked).close()
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

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
            endpoint_url=self.url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def names(self, place: str = "") -> list[str]:
        """What is in the bucket, below a place."""
        root = f"{BUCKET}/{place}".rstrip("/")
        return sorted(name.removeprefix(f"{root}/") for name in self.files().find(root))
