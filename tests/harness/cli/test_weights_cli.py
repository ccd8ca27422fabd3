"""``sambench weights``: lists, checks and gets checkpoints, here from a server on this machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import ROOT, Done, Screen, call, ended, started
from rich.console import Console

from sambench.adapters.weights import fetch as fetching
from sambench.adapters.weights import upstream as upstream_module
from sambench.adapters.weights.upstream import RemoteFile, Upstream, upstreams
from sambench.harness.cli import console
from sambench.harness.cli.weights import _Downloads

LARGE, SMALL = b"large" * 1000, b"small" * 10
ALL = list(upstreams())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and where it is served."""
    root = tmp_path / "served"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights folder; and no proxy, no token, no waiting, a wide terminal."""
    for name, value in (("no_proxy", "*"), ("NO_PROXY", "*"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(fetching, "PAUSES", ())
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def models(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Upstream]:
    """Three models: one known exactly, a folder of which nothing is known, one whose file is not there."""
    root, url = served
    (root / "large.pt").write_bytes(LARGE)
    (root / "config.json").write_bytes(b"{}")
    (root / "model.bin").write_bytes(SMALL)
    large = RemoteFile("large.pt", f"{url}/large.pt", bytes=len(LARGE), sha256=digest(LARGE))
    hub = tuple(RemoteFile(f"own--hub/{name}", f"{url}/{name}") for name in ("config.json", "model.bin"))
    gone = RemoteFile("gone.pt", f"{url}/gone.pt", bytes=9)
    found = {
        "large": Upstream((large,), licence="MIT", page="https://large.example"),
        "hub": Upstream(hub, licence="Apache-2.0", page="https://hub.example"),
        "gone": Upstream((gone,), licence="MIT", page="https://gone.example", note="Ask Ada."),
    }
    monkeypatch.setattr(upstream_module, "upstreams", lambda: found)
    return found


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def states() -> dict[str, str]:
    return {row["model"]: row["state"] for row in json.loads(call("weights", "list", "--json").out)}


def rows(done: Done) -> dict[str, dict[str, Any]]:
    return {row["file"]: row for row in json.loads(done.out)}


# --- all of it ---


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        ((), ("$SAMBENCH_WEIGHTS", "list", "verify", "fetch")),
        (("list",), ("--json", "verify", "partly")),
        (("verify",), ("--json", "SHA-256", "exit code is 2")),
        (("fetch",), ("--all", "hf:OWNER/NAME", "$HF_TOKEN", "by hand", "Example")),
    ],
)
def test_help_teaches(command: tuple[str, ...], taught: tuple[str, ...]) -> None:
    done = call("weights", *command, "--help")
    assert done.code == 0
    assert [word for word in taught if word not in done.out] == []


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["verify"], ["--help"]], ids=" ".join)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        "import sys; from sambench.harness.cli import main\n"
        f"sys.argv = ['sambench', 'weights', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "print([m for m in ('torch', 'cv2', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- list ---


def test_the_list_has_every_model_with_size_licence_and_state(folder: Path) -> None:
    shown = call("weights", "list").out
    lines = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert set(ALL) <= set(lines)
    assert lines["sam_vit_b"].split() == [
        "sam_vit_b",
        "sam_vit_b_01ec64.pth",
        "375.0",
        "MB",
        "Apache-2.0",
        "missing",
    ]
    assert lines["slim_sam_50"].split()[2] == "-"
    assert str(folder) in shown


def test_the_list_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("command.WIDTH", 80)
    monkeypatch.setattr(console, "out", Console(file=(screen := Screen()), color_system=None))
    assert call("weights", "list").code == 0
    lines = screen.getvalue().splitlines()[:-1]  # the last is the folder, however long
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in ALL)


def test_the_list_tells_what_is_there_without_reading_it(
    models: dict[str, Upstream], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed"))
    assert states() == {"large": "missing", "hub": "missing", "gone": "missing"}
    put(folder, "large.pt", LARGE)
    put(folder, "own--hub/config.json", b"{}")
    put(folder, "gone.pt.part", b"123")
    assert states() == {"large": "there", "hub": "partly", "gone": "partly"}
    put(folder, "large.pt", LARGE[1:])
    put(folder, "own--hub/model.bin", SMALL)
    put(folder, "gone.pt", b"123456789")
    assert states() == {"large": "wrong", "hub": "there", "gone": "there"}


def test_the_list_for_scripts_has_the_facts(models: dict[str, Upstream], folder: Path) -> None:
    large, _, gone = json.loads(call("weights", "list", "--json").out)
    assert large["location"] == "large.pt"
    assert large["page"] == "https://large.example"
    assert gone["note"] == "Ask Ada."
    (file,) = large["files"]
    assert file["known_sha256"] == digest(LARGE)
    assert file["known_bytes"] == len(LARGE)
    assert file["path"] == str(folder / "large.pt")
    assert file["url"].endswith("/large.pt")


# --- verify ---


def test_where_nothing_is_there_nothing_is_wrong(folder: Path) -> None:
    done = call("weights", "verify")
    assert done.code == 0
    assert f"{folder}, nothing is there yet" in done.out


def test_what_is_right_or_not_known_to_be_wrong_passes(models: dict[str, Upstream], folder: Path) -> None:
    put(folder, "large.pt", LARGE)
    put(folder, "own--hub/config.json", b"{}")
    put(folder, "own--hub/model.bin", SMALL)
    put(folder, "gone.pt", b"123456789")
    done = call("weights", "verify")
    assert done.code == 0
    assert done.out.splitlines() == [
        "large: large.pt: right",
        f"hub: own--hub/config.json: it looks whole; no known checksum; its sha256 is {digest(b'{}')}",
        f"hub: own--hub/model.bin: it looks whole; no known checksum; its sha256 is {digest(SMALL)}",
        f"gone: gone.pt: its size is right; no known checksum; its sha256 is {digest(b'123456789')}",
        f"folder: {folder}",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(LARGE[1:], "4,999 bytes, not 5,000"), (LARGE[::-1], digest(LARGE)), (LARGE[::-1], digest(LARGE[::-1]))],
)
def test_what_is_wrong_is_said_and_exits_2(
    content: bytes, problem: str, models: dict[str, Upstream], folder: Path
) -> None:
    put(folder, "large.pt", content)
    done = call("weights", "verify")
    assert done.code == 2
    assert problem in done.out
    assert "not as it should be: large" in done.err


def test_what_is_missing_counts_where_it_is_named_or_half_of_it_is_there(
    models: dict[str, Upstream], folder: Path
) -> None:
    put(folder, "large.pt", LARGE)
    assert call("weights", "verify").code == 0
    assert call("weights", "verify", "large").code == 0
    assert call("weights", "verify", "large", "gone").code == 2
    put(folder, "own--hub/config.json", b"{}")
    done = call("weights", "verify")
    assert done.code == 2
    assert "hub: own--hub/model.bin: missing" in done.out


def test_the_verdict_for_scripts_is_json_also_when_it_is_bad(
    models: dict[str, Upstream], folder: Path
) -> None:
    put(folder, "large.pt", LARGE[::-1])
    put(folder, "gone.pt.part", b"123")
    done = call("weights", "verify", "large", "gone", "--json")
    assert done.code == 2
    large, gone = rows(done)["large.pt"], rows(done)["gone.pt"]
    assert (large["status"], large["sha256"]) == ("wrong", digest(LARGE[::-1]))
    assert digest(LARGE) in large["problem"]
    assert (gone["model"], gone["status"], gone["bytes"]) == ("gone", "missing", 3)


def test_a_checkpoint_that_was_cut_off_is_seen_without_any_known_facts(
    models: dict[str, Upstream], folder: Path
) -> None:
    put(folder, "own--hub/config.json", b"{}")
    put(folder, "own--hub/model.bin", b"PK\x03\x04" + SMALL)
    done = call("weights", "verify", "hub")
    assert done.code == 2
    assert "cut off" in done.out


# --- fetch ---


def test_a_model_is_fetched_and_then_left_alone(models: dict[str, Upstream], folder: Path) -> None:
    done = call("weights", "fetch", "large", "hub")
    assert done.code == 0, done.err
    assert (folder / "large.pt").read_bytes() == LARGE
    assert (folder / "own--hub" / "model.bin").read_bytes() == SMALL
    assert "large: fetched, licence MIT" in done.out
    assert f"folder: {folder}" in done.out
    assert f"large: 5.0 kB from {models['large'].files[0].url}" in done.err
    again = call("weights", "fetch", "large", "hub")
    assert again.code == 0
    assert "large: there already" in again.out
    assert again.err == ""


def test_it_goes_on_after_a_failure_and_lists_failures_at_the_end(
    models: dict[str, Upstream], folder: Path
) -> None:
    done = call("weights", "fetch", "gone", "large")
    assert done.code == 2
    assert (folder / "large.pt").read_bytes() == LARGE
    assert "1 of 2 models could not be fetched" in done.err
    for fact in ("404", models["gone"].files[0].url, str(folder / "gone.pt"), "9 bytes", "Ask Ada."):
        assert fact in done.err


def test_all_are_all(models: dict[str, Upstream], folder: Path) -> None:
    done = call("weights", "fetch", "--all")
    assert done.code == 2
    assert "1 of 3 models could not be fetched" in done.err
    assert states() == {"large": "there", "hub": "there", "gone": "missing"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "say which models"),
        (["fetch", "--all", "sam_vit_b"], "say which models"),
        (["fetch", "sam_vit_bb"], "Did you mean 'sam_vit_b'?"),
        (["verify", "efficientvit_sam_L0"], "Did you mean 'efficientvit_sam_l0'?"),
        (["fetch", "box"], "box: nothing to fetch"),
        (["verify", "box"], "it has no weights"),
        (["fetch", "hf:./folder"], "hf:./folder: nothing to fetch"),
    ],
    ids=" ".join,
)
def test_a_name_that_cannot_be_fetched_exits_2_and_says_why(
    arguments: list[str], message: str, folder: Path
) -> None:
    done = call("weights", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not folder.exists()


def test_a_model_of_the_hub_is_fetched_by_its_name_there(
    served: tuple[Path, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, url = served
    files = {"config.json": b"{}", "model.safetensors": (2).to_bytes(8, "little") + b"{}"}
    for name, content in files.items():
        put(root / "owner" / "name" / "resolve" / "main", name, content)
    real = upstream_module.RemoteFile
    monkeypatch.setattr(
        upstream_module, "RemoteFile", lambda n, u: real(n, u.replace("https://huggingface.co", url))
    )
    done = call("weights", "fetch", "hf:owner/name")
    assert done.code == 0, done.err
    assert {f.name: f.read_bytes() for f in (folder / "owner--name").iterdir()} == files
    assert call("weights", "verify", "hf:owner/name").code == 0


def test_an_interrupt_says_how_to_go_on(models: dict[str, Upstream], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_download", interrupt)
    done = call("weights", "fetch", "large")
    assert done.code == 130
    assert "same command again" in done.err


def test_without_a_network_it_says_so_and_what_to_put_where(folder: Path) -> None:
    environment = {
        "SAMBENCH_WEIGHTS": str(folder),
        "https_proxy": "http://127.0.0.1:9",
        "no_proxy": "",
        "NO_PROXY": "",
    }
    done = ended(started("weights", "fetch", "mobile_sam", env=environment))
    assert done.code == 2
    assert "no connection" in done.err
    assert str(folder / "mobile_sam.pt") in done.err
    assert "Traceback" not in done.err


def test_a_terminal_shows_bytes_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    file = RemoteFile("large.pt", "https://large.example/large.pt")
    screen = Screen()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "err", Console(file=screen, width=100))
    with _Downloads() as downloads:
        advance = downloads.of("large")
        for done in (500_000, 1_000_000, 1_500_000):
            advance(file, done, 2_000_000)
            time.sleep(0.01)  # a speed needs a while
    shown = screen.getvalue()
    assert "large" in shown
    assert "1.5/2.0 MB" in shown
    assert "/s" in shown
    assert "https://" not in shown
