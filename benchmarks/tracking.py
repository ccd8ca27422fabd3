"""What tracking adds to a run's time: 13 models on 10,000 objects, and a real MLflow server on this machine.

    python -m benchmarks.tracking [--images 1250] [--out benchmarks/results/tracking.json]

Drawn images, ground-truth boxes, and the filled box and the ellipse under 13 names: the quickest models there
are, so that what is added weighs most. What it adds is bounded by what noise does not move: the seconds that
the command waited at its end, and the processor seconds of the process that sends, as shares of the run's.
With ``--pairs N`` runs with and without a tracker take turns as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sambench.adapters.files import write_atomic
from sambench.harness.provenance import device_name, git_state, versions
from sambench.suites.data.shapes import make_shapes

RESULTS = Path(__file__).with_name("results")
MODELS = 13
UP_S = 120.0
"""A server takes up to 43 s to come up."""

# The command with its sender's cost on the last line of standard output.
COMMAND = """
import json, sys, time
from sambench.harness.tracking.live import Sender
end, cost = Sender.end, {"wait_s": 0.0, "sender_cpu_s": 0.0}
def timed(self):
    import resource
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    found = end(self)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost["wait_s"] += time.perf_counter() - began
    cost["sender_cpu_s"] += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found
Sender.end = timed
from sambench.harness.cli import main
began = time.perf_counter()
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps({"seconds": time.perf_counter() - began, **cost}))
"""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run an MLflow server with a database and artifacts in a folder; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    calm = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        command, env=os.environ | calm, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + UP_S
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=1).close()
                break
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"the server did not come up: {folder / 'server.log'}")
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(data: Path, out: Path, address: str | None) -> dict[str, float]:
    """Do one run, tracked where there is an address, and return its seconds."""
    baselines = "sambench.adapters.families.baselines"
    adapters = [f"{kind}{n}={baselines}:{kind}" for n in range(7) for kind in ("Box", "Ellipse")][:MODELS]
    arguments = ["run", "--suites", "gt_box", "--dataset", "shapes", "--images", str(data / "images")]
    arguments += ["--annotations", str(data / "annotations/instances.json"), "--out", str(out)]
    arguments += [word for adapter in adapters for word in ("--adapter", adapter)]
    environment = dict(os.environ)
    if address is not None:
        arguments.append("--track")
        environment["MLFLOW_TRACKING_URI"] = address
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1250)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "tracking.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_shapes(folder / "shapes", given.images, 0).out
        content = json.loads((data / "annotations/instances.json").read_text())
        facts: dict[str, Any] = {
            "models": MODELS,
            "images": given.images,
            "objects": len(content["annotations"]),
            "device": device_name("cpu"),
            "git": git_state(),
            "versions": versions("mlflow"),
        }
        runs = []
        with server(folder) as address:
            for n in range(max(given.pairs, 1)):
                plain = {"plain": measure(data, folder / f"plain{n}", None)} if given.pairs else {}
                tracked = measure(data, folder / f"tracked{n}", address)
                share = {key: tracked[key] / tracked["seconds"] for key in ("wait_s", "sender_cpu_s")}
                runs.append({**plain, "tracked": tracked, "share": share})
                print(json.dumps(runs[-1]), flush=True)
    write_atomic(given.out, (json.dumps(facts | {"runs": runs}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
