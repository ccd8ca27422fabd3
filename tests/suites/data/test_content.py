"""JSON in every dress that tools put it in, against Python's own ``json`` on the plain file."""

from __future__ import annotations

import gzip
import hashlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sambench.evsam.errors import SambenchError
from sambench.suites.data import content as module
from sambench.suites.data.content import read_content

VALUE = {"images": [{"id": 1, "file_name": "größe.jpg"}], "annotations": [], "text": 'NaN, "Infinity" \\ '}
PLAIN = json.dumps(VALUE, ensure_ascii=False)


def read(tmp_path, raw: bytes):
    file = tmp_path / "a.json"
    file.write_bytes(raw)
    return read_content(file, "not there.", "annotation file")


@pytest.mark.parametrize(
    ("encoding", "kinds"),
    [
        ("utf-8", []),
        ("utf-8-sig", ["encoding"]),
        ("utf-16", ["encoding"]),
        ("utf-16-le", ["encoding"]),
        ("utf-16-be", ["encoding"]),
        ("utf-32", ["encoding"]),
        ("latin-1", ["encoding"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_any_encoding_packed_or_not_is_the_same_json(tmp_path, encoding, kinds, packed):
    raw = PLAIN.encode(encoding)
    raw = gzip.compress(raw) if packed else raw
    found = read(tmp_path, raw)
    (document,) = found.documents
    assert json.loads(document) == VALUE
    assert [kind for kind, _ in found.findings] == ["packed"] * packed + kinds
    assert found.sha256 == hashlib.sha256(raw).hexdigest()


def test_gzip_of_several_members_is_one_file(tmp_path):
    raw = PLAIN.encode()
    (document,) = read(tmp_path, gzip.compress(raw[:30]) + gzip.compress(raw[30:]) + b"\0" * 9).documents
    assert json.loads(document) == VALUE


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_nan_and_infinity_become_their_names_and_nothing_else_changes(tmp_path_factory, value):
    (document,) = read(tmp_path_factory.mktemp("nan"), json.dumps(value).encode()).documents

    def named(one):
        if isinstance(one, float) and not math.isfinite(one):
            return json.dumps(one)
        if isinstance(one, list):
            return [named(each) for each in one]
        return {k: named(v) for k, v in one.items()} if isinstance(one, dict) else one

    assert json.loads(document) == named(value)


def test_lines_are_documents(tmp_path):
    lines = [{"a": 1}, {"b": float("nan")}, {"c": "ä"}]
    found = read(tmp_path, "\r\n\n".join(map(json.dumps, lines)).encode())
    assert [json.loads(one) for one in found.documents] == [{"a": 1}, {"b": "NaN"}, {"c": "ä"}]
    assert [kind for kind, _ in found.findings] == ["lines"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": [1, 2', "cut off"),
        (b'{"a": 1}x', "trailing characters in line 1"),
        (b'{"a":\n  [1,]}', "line 2, column 6"),
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"[" * 100_000 + b"]" * 100_000, "lists within lists"),
        (gzip.compress(b"{}", mtime=0)[:-9], "cut off"),
        (b"\x1f\x8b" + b"no gzip at all", "damaged"),
        (b"<!DOCTYPE html>", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
)
def test_what_is_no_json_is_said_in_our_words(tmp_path, raw, words):
    with pytest.raises(SambenchError) as caught:
        read(tmp_path, raw)
    assert words in str(caught.value)
    assert str(tmp_path / "a.json") in str(caught.value)
    assert "codec" not in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_UNPACKED", 10_000)
    with pytest.raises(SambenchError, match="bytes unpacked"):
        read(tmp_path, gzip.compress(b" " * 1_000_000))


def test_a_missing_file_is_said_in_the_callers_words(tmp_path):
    with pytest.raises(SambenchError, match="not there"):
        read_content(tmp_path / "none.json", "not there.", "annotation file")
    with pytest.raises(SambenchError, match="cannot be read"):
        read_content(tmp_path, "not there.", "annotation file")
