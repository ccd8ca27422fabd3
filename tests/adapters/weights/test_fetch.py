"""Downloads, against a server on this machine that behaves in all the ways servers do."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sambench.adapters.weights import fetch as module
from sambench.adapters.weights.fetch import fetch
from sambench.adapters.weights.upstream import RemoteFile, Upstream
from sambench.adapters.weights.verify import State, damage, verify
from sambench.evsam.errors import SambenchError

CONTENT = bytes(range(256)) * 40  # ten blocks, as these tests cut them
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc", FIPS 180-2

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server: it gives its answers one after the other, the last for ever, and notes the questions."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[BaseHTTPRequestHandler] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self)
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def header(self, name: str) -> list[str | None]:
        """What each question said under a header."""
        return [question.headers.get(name) for question in self.asked]


def give(
    content: bytes = CONTENT,
    *,
    version: str | None = '"1"',
    date: str | None = None,
    ranges: bool = True,
    cut_after: int | None = None,
    length: int | None = -1,
    kind: str = "application/octet-stream",
    then: Callable[[], object] | None = None,
) -> Answer:
    """Serve a file: as RFC 9110 has it, or with less than that."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked, condition = to.headers.get("Range"), to.headers.get("If-Range")
        start = 0
        if ranges and asked and condition in (version, date):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) > 0:
            to.send_response(416)
            to.send_header("Content-Range", f"bytes */{len(content)}")
            to.end_headers()
            return
        to.send_response(206 if start else 200)
        if start:
            to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        to.send_header("Content-Type", kind)
        for name, value in (("ETag", version), ("Last-Modified", date)):
            if value:
                to.send_header(name, value)
        if length is not None:
            to.send_header("Content-Length", str(len(content) - start if length < 0 else length))
        to.end_headers()
        to.wfile.write(content[start:][:cut_after])
        to.wfile.flush()
        if then:
            then()

    return answer


def part_of(content: bytes, *, start: int, version: str) -> Answer:
    """Send a part that starts at a byte of the server's own choice, whatever was asked."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(206)
        to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        to.send_header("ETag", version)
        to.send_header("Content-Length", str(len(content) - start))
        to.end_headers()
        to.wfile.write(content[start:])

    return answer


def say(code: int) -> Answer:
    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(code)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


def send_to(url: str) -> Answer:
    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(302)
        to.send_header("Location", url)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no token, no waiting, and blocks small enough for several of them."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(module, "BLOCK", len(CONTENT) // 10)


def one(site: Site, sha256: str | None = SHA256, size: int | None = len(CONTENT), **more: object) -> Upstream:
    """A model of one file."""
    file = RemoteFile("model.pt", f"{site.origin}/model.pt", bytes=size, sha256=sha256, **more)
    return Upstream((file,), licence="MIT", page="https://page.example", note="Say please.")


def unknown(site: Site) -> Upstream:
    """A model of one file, of which nothing is known."""
    return one(site, sha256=None, size=None)


def names(folder: Path) -> list[str]:
    """The files in a folder, but for those that are locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def refusal(upstream: Upstream, folder: Path) -> str:
    with pytest.raises(SambenchError) as error:
        fetch(upstream, folder)
    return str(error.value)


# --- verify ---


def state_of(content: bytes, folder: Path, *, hashing: bool = True, **known: object) -> State:
    (folder / "model.pt").write_bytes(content)
    files = (RemoteFile("model.pt", "https://example.com", **known),)
    return verify(Upstream(files, licence="MIT", page=""), folder, hashing=hashing)[0]


def test_a_file_with_the_known_checksum_is_right(tmp_path: Path) -> None:
    state = state_of(b"abc", tmp_path, sha256=ABC, bytes=3)
    assert (state.status, state.bytes, state.sha256, state.problem) == ("right", 3, ABC, None)


def test_a_file_with_another_checksum_is_wrong_and_both_are_said(tmp_path: Path) -> None:
    state = state_of(b"abd", tmp_path, sha256=ABC, bytes=3)
    assert state.status == "wrong"
    assert ABC in state.problem
    assert hashlib.sha256(b"abd").hexdigest() in state.problem


def test_a_file_of_another_size_is_wrong_and_both_are_said(tmp_path: Path) -> None:
    state = state_of(b"abc" * 1000, tmp_path, sha256=ABC, bytes=3)
    assert state.status == "wrong"
    assert state.problem == "it has 3,000 bytes, not 3"


def test_a_file_without_known_checksum_is_unknown_and_its_own_is_told(tmp_path: Path) -> None:
    assert state_of(b"abc", tmp_path).status == "unknown"
    assert state_of(b"abc", tmp_path, bytes=3).status == "unknown"
    assert state_of(b"abc", tmp_path).sha256 == ABC


def test_without_hashing_the_size_decides(tmp_path: Path) -> None:
    assert state_of(b"abd", tmp_path, hashing=False, sha256=ABC, bytes=3).status == "right"
    assert state_of(b"abd", tmp_path, hashing=False, sha256=ABC).status == "unknown"
    assert state_of(b"abcd", tmp_path, hashing=False, sha256=ABC, bytes=3).status == "wrong"
    assert state_of(b"abc", tmp_path, hashing=False).sha256 is None


def test_a_missing_file_tells_how_much_of_it_was_downloaded(site: Site, tmp_path: Path) -> None:
    assert [(s.status, s.bytes) for s in verify(one(site), tmp_path)] == [("missing", None)]
    (tmp_path / "model.pt.part").write_bytes(b"abcd")
    assert [(s.status, s.bytes) for s in verify(one(site), tmp_path)] == [("missing", 4)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "pointer of git-lfs"),
        (b"\n<!DOCTYPE html><html>Log in</html>", "web page"),
        (b"<HTML><body>Log in</body></HTML>", "web page"),
    ],
)
def test_what_is_no_checkpoint_at_all_is_seen(content: bytes, problem: str, tmp_path: Path) -> None:
    assert problem in (state_of(content, tmp_path).problem or "")


def test_a_zip_that_is_cut_off_is_seen(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    with zipfile.ZipFile(whole, "w") as archive:  # as torch.save writes
        archive.writestr("archive/data.pkl", CONTENT)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole.read_bytes()[:-30])
    assert damage(whole) is None
    assert "cut off" in (damage(cut) or "")


@pytest.mark.parametrize("change", [-1, 1, -4000])
def test_a_safetensors_file_of_another_length_than_its_header_says_is_seen(
    change: int, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": np.zeros((30, 30), np.float32), "b": np.ones(7, np.float16)}, file, {"format": "pt"})
    assert damage(file) is None
    whole = file.read_bytes()
    file.write_bytes(whole + b"x" if change > 0 else whole[:change])
    assert damage(file) is not None


@pytest.mark.parametrize(
    "content", [b"abc", b"\xff" * 40, (20).to_bytes(8, "little") + b'["no", "tensors"]   ']
)
def test_what_is_called_safetensors_and_is_not_is_seen(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert "no safetensors" in (damage(tmp_path / "model.safetensors") or "")


# --- fetch: it comes ---


def test_a_file_is_got_and_nothing_else_is_left(site: Site, tmp_path: Path) -> None:
    site.answers = [give()]
    got = fetch(one(site), tmp_path / "new" / "folder")
    assert got == [tmp_path / "new" / "folder" / "model.pt"]
    assert got[0].read_bytes() == CONTENT
    assert names(tmp_path) == ["model.pt"]
    assert site.header("Range") == [None]


def test_progress_is_told_as_it_comes_and_ends_at_the_total(site: Site, tmp_path: Path) -> None:
    site.answers = [give(cut_after=5000), give()]
    seen: list[tuple[str, int, int | None]] = []
    fetch(one(site), tmp_path, lambda file, done, total: seen.append((file.name, done, total)))
    done = [done for _, done, _ in seen]
    assert done == sorted(set(done))
    assert len(done) >= 10
    assert done[-1] == len(CONTENT)
    assert {(name, total) for name, _, total in seen} == {("model.pt", len(CONTENT))}


def test_a_file_of_unknown_size_and_checksum_is_got(site: Site, tmp_path: Path) -> None:
    for length in (-1, None):
        site.answers = [give(length=length)]
        fetch(unknown(site), tmp_path / str(length))
        assert (tmp_path / str(length) / "model.pt").read_bytes() == CONTENT


def test_what_is_there_and_right_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(CONTENT)
    assert fetch(one(site), tmp_path) == []
    assert fetch(unknown(site), tmp_path) == []
    assert site.asked == []


def test_what_is_there_and_wrong_is_replaced_when_the_right_one_has_come(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(OTHER)
    site.answers = [say(404), give()]
    refusal(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == OTHER
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_two_at_once_ask_for_a_file_once(site: Site, tmp_path: Path) -> None:
    """They would add to the same part, and nothing is known of the file that would tell."""
    site.answers = [give(cut_after=5000, then=lambda: time.sleep(0.3)), give()]
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda _: fetch(unknown(site), tmp_path), range(2)))
    assert sorted(got) == [[], [tmp_path / "model.pt"]]
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, "bytes=5000-"]


def test_of_a_folder_only_what_is_missing_is_asked_for(site: Site, tmp_path: Path) -> None:
    files = tuple(RemoteFile(f"own--hub/{n}", f"{site.origin}/{n}") for n in ("config.json", "model.bin"))
    hub = Upstream(files, licence="MIT", page="")
    site.answers = [give(b"{}"), say(404), give()]
    assert "own--hub/model.bin" in refusal(hub, tmp_path)
    assert names(tmp_path) == ["config.json"]
    assert fetch(hub, tmp_path) == [tmp_path / "own--hub" / "model.bin"]
    assert [question.path for question in site.asked] == ["/config.json", "/model.bin", "/model.bin"]


# --- fetch: the connection is cut ---


def test_after_a_cut_it_goes_on_from_the_byte_reached(site: Site, tmp_path: Path) -> None:
    site.answers = [give(cut_after=5000), give(cut_after=3000), give()]
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, "bytes=5000-", "bytes=8000-"]
    assert site.header("If-Range") == [None, '"1"', '"1"']
    assert names(tmp_path) == ["model.pt"]


def test_a_date_serves_where_there_is_no_strong_etag(site: Site, tmp_path: Path) -> None:
    date = "Wed, 05 Apr 2023 17:00:00 GMT"
    site.answers = [give(version='W/"1"', date=date, cut_after=5000), give(version='W/"1"', date=date)]
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("If-Range") == [None, date]
    assert site.header("Range") == [None, "bytes=5000-"]


def test_without_any_validator_it_begins_anew(site: Site, tmp_path: Path) -> None:
    site.answers = [give(version=None, cut_after=5000), give(version=None)]
    fetch(unknown(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, None]


def test_a_server_that_ignores_ranges_is_listened_to_from_the_start(site: Site, tmp_path: Path) -> None:
    site.answers = [give(ranges=False, cut_after=5000), give(ranges=False)]
    fetch(unknown(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, "bytes=5000-"]


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_one(site: Site, tmp_path: Path) -> None:
    site.answers = [give(cut_after=5000), give(OTHER, version='"2"')]
    fetch(unknown(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == OTHER


@pytest.mark.parametrize(("start", "version"), [(5000, '"2"'), (4999, '"1"'), (0, '"1"')])
def test_a_part_of_another_file_or_place_is_thrown_away(
    start: int, version: str, site: Site, tmp_path: Path
) -> None:
    site.answers = [give(cut_after=5000), part_of(OTHER, start=start, version=version), give()]
    fetch(unknown(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, "bytes=5000-", None]


def test_an_interrupt_keeps_what_came_and_the_next_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.answers = [give()]

    def interrupt(_: RemoteFile, done: int, __: int | None) -> None:
        if done >= 4096:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(one(site), tmp_path, interrupt)
    part = (tmp_path / "model.pt.part").read_bytes()
    assert part == CONTENT[: len(part)]
    assert 4096 <= len(part) < len(CONTENT)
    assert not (tmp_path / "model.pt").exists()
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, f"bytes={len(part)}-"]


@pytest.mark.parametrize("known", [True, False])
def test_a_part_that_is_whole_already_gets_its_name(known: bool, site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pt.part").write_bytes(CONTENT)
    (tmp_path / "model.pt.part.version").write_text('"1"')
    site.answers = [give()]
    fetch(one(site) if known else unknown(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == ([] if known else [f"bytes={len(CONTENT)}-"])
    assert names(tmp_path) == ["model.pt"]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pt.part").write_bytes(CONTENT + b"more")
    (tmp_path / "model.pt.part.version").write_text('"1"')
    site.answers = [give()]
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_a_server_that_falls_silent_is_a_cut_connection(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    woken, began = threading.Event(), time.monotonic()
    site.answers = [give(cut_after=5000, then=lambda: woken.wait(10)), give()]
    fetch(one(site), tmp_path)
    woken.set()
    assert time.monotonic() - began < 5
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.header("Range") == [None, "bytes=5000-"]


def test_a_server_that_is_busy_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.answers = [say(503), say(429), give()]
    fetch(one(site), tmp_path)
    assert len(site.asked) == 3


def test_it_waits_longer_each_time_and_gives_up_at_last(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module, "PAUSES", (1.0, 2.0, 4.0))
    monkeypatch.setattr(time, "sleep", waits.append)
    site.answers = [give(cut_after=5000), give(cut_after=0)]
    message = refusal(one(site), tmp_path)
    assert waits == [1.0, 2.0, 4.0]
    assert len(site.asked) == 4
    assert "cut after 5,000 of 10,240 bytes" in message
    assert "5,000 bytes are kept" in message
    assert (tmp_path / "model.pt.part").read_bytes() == CONTENT[:5000]


def test_many_cuts_are_survived_as_long_as_each_gets_further(site: Site, tmp_path: Path) -> None:
    site.answers = [give(cut_after=500)]
    fetch(one(site), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert len(site.asked) == 21


def test_nothing_is_promised_to_be_kept_where_the_next_call_must_begin_anew(
    site: Site, tmp_path: Path
) -> None:
    site.answers = [give(version=None, cut_after=5000)]
    message = refusal(one(site), tmp_path)
    assert "cut after 5,000" in message
    assert "kept" not in message


def test_a_write_that_takes_only_some_bytes_is_gone_on_with() -> None:
    class NearlyFull:
        written = b""

        def write(self, block: memoryview) -> int:
            self.written += bytes(block[:3])
            return len(block[:3])

    out = NearlyFull()
    module._write(out, b"abcdefgh")
    assert out.written == b"abcdefgh"


# --- fetch: it is not the file ---


def test_a_wrong_checksum_deletes_what_came_and_says_both(site: Site, tmp_path: Path) -> None:
    site.answers = [give(OTHER)]
    message = refusal(one(site), tmp_path)
    assert SHA256 in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert names(tmp_path) == []
    assert len(site.asked) == 1


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-1]])
def test_a_file_of_another_size_is_refused_before_it_comes(
    content: bytes, site: Site, tmp_path: Path
) -> None:
    site.answers = [give(content)]
    assert f"{len(content):,} bytes, not 10,240" in refusal(one(site, sha256=None), tmp_path)
    assert names(tmp_path) == []
    assert len(site.asked) == 1


def test_a_body_that_does_not_end_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    site.answers = [give(CONTENT * 50, length=None)]
    assert "more than its 10,240" in refusal(one(site, sha256=None), tmp_path)
    assert names(tmp_path) == []


def test_a_body_that_ends_early_without_announced_length_is_a_cut(site: Site, tmp_path: Path) -> None:
    site.answers = [give(length=None, cut_after=5000), give(length=None)]
    fetch(one(site), tmp_path)
    assert site.header("Range") == [None, "bytes=5000-"]


def test_an_empty_file_is_refused(site: Site, tmp_path: Path) -> None:
    site.answers = [give(b"")]
    assert "it is empty" in refusal(unknown(site), tmp_path)
    assert names(tmp_path) == []


def test_a_login_page_is_no_checkpoint(site: Site, tmp_path: Path) -> None:
    page = b"<!doctype html><html>Log in</html>"
    for content, kind in ((b"Log in", "text/html; charset=utf-8"), (page, "application/octet-stream")):
        site.answers = [give(content, kind=kind)]
        assert "web page" in refusal(unknown(site), tmp_path)
        assert names(tmp_path) == []
    assert len(site.asked) == 2


def test_a_zip_is_unpacked_and_size_and_checksum_are_those_of_the_file(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("__MACOSX/._model.pt", b"nothing")
        packed.writestr("model.pt", CONTENT)
    site.answers = [give(archive.read_bytes(), cut_after=len(CONTENT)), give(archive.read_bytes())]
    fetch(one(site, zipped=True), tmp_path / "weights")
    assert (tmp_path / "weights" / "model.pt").read_bytes() == CONTENT
    assert names(tmp_path / "weights") == ["model.pt"]
    assert site.header("Range") == [None, f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("name", ["other.pt", None])
def test_a_zip_without_the_file_is_refused(name: str | None, site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(CONTENT)
    if name:
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(name, CONTENT)
    site.answers = [give(archive.read_bytes())]
    assert "not a zip with model.pt in it" in refusal(one(site, zipped=True), tmp_path / "weights")
    assert names(tmp_path / "weights") == []


def test_a_zip_with_another_file_under_the_name_is_refused(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("model.pt", OTHER)
    site.answers = [give(archive.read_bytes())]
    message = refusal(one(site, zipped=True), tmp_path / "weights")
    assert SHA256 in message
    assert "a zip: take model.pt out of it" in message
    assert names(tmp_path / "weights") == []


# --- fetch: it does not come ---


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_final_and_says_how_to_get_it_by_hand(code: int, site: Site, tmp_path: Path) -> None:
    site.answers = [say(code)]
    message = refusal(one(site), tmp_path)
    assert len(site.asked) == 1
    for fact in (
        str(code),
        f"{site.origin}/model.pt",
        str(tmp_path / "model.pt"),
        "10,240 bytes",
        SHA256,
        "https://page.example",
        "Say please.",
    ):
        assert fact in message


def test_nobody_there_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = (RemoteFile("model.pt", f"http://127.0.0.1:{port}/model.pt"),)
    message = refusal(Upstream(files, licence="MIT", page="https://page.example"), tmp_path)
    assert f"no connection to 127.0.0.1:{port} (Connection refused)" in message
    assert str(tmp_path / "model.pt") in message
    assert "not known" in message


def test_a_server_that_goes_away_in_the_middle_is_waited_for(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    site.answers = [give(cut_after=5000, then=site.server.socket.close)]
    message = refusal(one(site), tmp_path)
    assert len(waits) == len(module.PAUSES)
    assert "5,000 bytes are kept" in message


def test_a_disk_that_is_too_small_is_said_before_it_is_full(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = len(CONTENT) - 1

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage)
    site.answers = [give()]
    assert "10,240 more bytes do not fit" in refusal(one(site), tmp_path)
    Usage.free += 1
    fetch(one(site), tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_with_the_remedy(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pt.part").symlink_to("/dev/full")
    site.answers = [give()]
    message = refusal(one(site), tmp_path)
    assert "No space left on device" in message
    assert "Make room" in message
    assert not (tmp_path / "model.pt").exists()


def test_a_folder_that_cannot_be_made_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    site.answers = [give()]
    message = refusal(one(site), tmp_path / "file" / "folder")
    assert "cannot be written" in message
    assert "SAMBENCH_WEIGHTS" in message


# --- the token ---


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_the_token_goes_to_its_own_place_also_when_that_redirects_to_itself(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(module, "TOKEN_ORIGIN", site.origin)
    site.answers = [send_to("/moved"), give()]
    fetch(one(site), tmp_path)
    assert site.header("Authorization") == ["Bearer secret", "Bearer secret"]


def test_the_token_is_not_taken_along_to_another_place(
    site: Site, elsewhere: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(module, "TOKEN_ORIGIN", site.origin)
    site.answers = [send_to(f"{elsewhere.origin}/storage")]
    elsewhere.answers = [give(cut_after=5000), give()]
    fetch(one(site), tmp_path)
    assert site.header("Authorization") == ["Bearer secret"] * 2
    assert elsewhere.header("Authorization") == [None, None]
    assert elsewhere.header("Range") == [None, "bytes=5000-"]


def test_the_token_is_for_the_hub_alone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.TOKEN_ORIGIN == "https://huggingface.co"
    monkeypatch.setenv("HF_TOKEN", "secret")
    site.answers = [give()]
    fetch(one(site), tmp_path)
    assert site.header("Authorization") == [None]


def test_a_refusal_of_the_hub_says_whose_token_it_was(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKEN_ORIGIN", site.origin)
    site.answers = [say(401)]
    assert "without an $HF_TOKEN" in refusal(one(site), tmp_path)
    monkeypatch.setenv("HF_TOKEN", "secret")
    message = refusal(one(site), tmp_path)
    assert "the account of $HF_TOKEN" in message
    assert "secret" not in message
