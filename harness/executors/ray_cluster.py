"""The Ray cluster that a run works on: one that is there, or one of its own that ends with it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from sambench.adapters.extras import missing
from sambench.evsam.errors import SambenchError

OWN = "local"
"""Ray's word for a cluster that a program starts for itself."""
CLIENT = "ray://"
"""How the address of Ray's client begins, which needs no Ray on this machine."""
PATIENCE = 5.0
"""Seconds for a cluster to answer. Ray itself would try for two minutes."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What a client of HTTP/2, which Ray's servers speak, says first (RFC 9113): a greeting, empty settings."""
SETTINGS = 4
"""The type of the frame that it is answered with."""
STORE = 512 << 20
"""Bytes of memory that a cluster of our own may keep for shards on their way; more goes to the disk."""
TOKEN = secrets.token_hex(32)
"""What those must know who want to use a cluster of our own. Ray would write one into the user's home."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tells its makers nothing
    "RAY_SCHEDULER_EVENTS": "0",  # its advice on more machines
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker on the CPU sees cards as other processes do
}
"""Ray's variables, where the user has not set them."""


def where(address: str | None) -> str:
    """Return the address of the cluster: that given, or ``RAY_ADDRESS``, or `OWN`."""
    return address or os.environ.get("RAY_ADDRESS") or OWN


def check(address: str | None, device: str) -> None:
    """See that Ray is installed, and that a cluster answers where the address says.

    Raises:
        SambenchError: it is not, or nothing answers there; or a card is named, which is Ray's to choose.
    """
    address = where(address)
    if device.startswith("cuda:"):
        raise SambenchError(f"device {device}: with --executor ray, Ray gives each worker a card. Say cuda.")
    if find_spec("ray") is None:  # not imported yet: it takes its settings as it is
        raise missing("executor ray", "ray", "ray")
    if address.startswith(CLIENT) and find_spec("grpc") is None:
        raise SambenchError(
            f"address {address} needs grpcio, which is not installed. Say: pip install 'ray[client]'"
        )
    if address not in (OWN, "auto"):
        _check_answer(address)


def _check_answer(address: str) -> None:
    found = re.fullmatch(rf"(?:{CLIENT})?\[?(?P<host>[^/\[\]]+)\]?:(?P<port>\d{{1,5}})/?", address)
    if found is None:
        raise SambenchError(
            f"address {address!r} is not one of a Ray cluster: say HOST:6379 on a machine of it, "
            f"{CLIENT}HOST:10001 from elsewhere, or auto."
        )
    try:
        with socket.create_connection((found["host"], int(found["port"])), PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return  # what speaks TLS does not answer this
            connection.settimeout(PATIENCE)
            connection.sendall(PREFACE)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise SambenchError(
            f"no Ray cluster answers at {address}: {error}. 'ray status' on a machine of it says its "
            "address; without --address, and without RAY_ADDRESS, a local one is made."
        ) from None
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise SambenchError(
            f"what answers at {address} is not Ray. Its own port is 6379 by default, that of {CLIENT} is "
            "10001; that of its dashboard does not do."
        )


@contextlib.contextmanager
def joined(address: str | None, workers: int, cards: bool) -> Iterator[bool]:
    """Be part of the cluster, and tell whether it is our own, which ends with the block and leaves nothing.

    Where this process is part of one already, it stays so.

    Args:
        address: of the cluster.
        workers: how many a cluster of our own has place for.
        cards: whether they compute on CUDA.

    Raises:
        SambenchError: Ray does not start, or the cluster does not take this process.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        yield False
        return
    address = where(address)
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        variables = dict(QUIET)
        if address == OWN:
            folder = tempfile.mkdtemp(prefix="sambench-", dir="/tmp" if os.path.isdir("/tmp") else None)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            options = _own(workers, cards, folder)
            variables["RAY_AUTH_TOKEN"] = TOKEN
        stack.enter_context(_environment(variables))
        import ray

        stack.callback(ray.shutdown)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # where Ray tells of deaths
        try:
            with _handlers_kept():
                ray.init(address=address, logging_level=logging.ERROR, **options)
        except Exception as error:
            text = " ".join(str(error).split())[:500]
            raise SambenchError(f"Ray at {address} does not take this process: {text}") from None
        if address == OWN:  # interrupted, this process may be gone before Ray has shut down
            stack.push(lambda kind, *_: shutil.rmtree(folder, ignore_errors=True) if kind else None)
        yield address == OWN


def _own(workers: int, cards: bool, folder: str) -> dict[str, Any]:
    """Return how a cluster of our own is made: for this machine alone, with a folder of a short name.

    Ray's sockets lie in it, and a socket's path has 107 characters at most.
    """
    return {
        "num_cpus": max(workers, os.cpu_count() or 1),
        **({} if cards else {"num_gpus": 0}),
        "include_dashboard": False,
        "object_store_memory": STORE,
        "_temp_dir": folder,
        "_node_ip_address": "127.0.0.1",
    }


def share(cores: Iterable[float], workers: int) -> int:
    """Return how many cores each of so many workers may have, on machines of so many cores."""
    machines = [int(number) for number in cores]
    for each in range(max(machines, default=1), 1, -1):
        if sum(number // each for number in machines) >= workers:
            return each
    return 1


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set, for the time of the block; those that Ray sets end with it too."""
    before = dict(os.environ)
    os.environ.update(variables | before)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            if name.startswith("RAY_"):
                del os.environ[name]


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back who hears SIGTERM, which Ray takes for itself, and let him hear one that came meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, came = signal.getsignal(signal.SIGTERM), False
    try:
        yield
    except SystemExit:  # Ray's answer to it
        came = True
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:
        signal.raise_signal(signal.SIGTERM)
