"""Passwords and tokens are in nothing that is written down; what is none stays as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import call, cell_of
from hypothesis import given
from hypothesis import strategies as st
from tiny_coco import TinyCoco

from sambench.harness.secrets import HIDDEN, redacted, without_secrets

SECRET = "hunter2-Zq9"

SECRETS = [
    "https://me:{}@host:5000/x",
    "https://{}@host/x",
    "postgresql+psycopg2://me:{}@db.local/mlflow",
    "http://me:with@sign{}@host",
    "http://me:with#sign{}@host",
    "s3://bucket/key?X-Amz-Security-Token={}&x=1",
    "s3://bucket/key?x=1&X-Amz-Signature={}",
    "s3://bucket/key?X-Amz-Credential={}%2F20261127",
    "https://host/blob?sv=2024&sig={}",
    "https://host/x?key={}#part",
    "https://host/x?access_token={}",
    "AWS_SECRET_ACCESS_KEY={}",
    "AWSAccessKeyId={}",
    "run --hf-token {} --out x",
    "run --hf-token={} --out x",
    "run --password '{} and more' --out x",
    "export API_KEY = {}",
    "Client(token='{}', host='x')",
    'Client(password="{} and more")',
    "{{'api_key': '{}', 'host': 'x'}}",
    '{{"client_secret": "{}"}}',
    "Authorization: Bearer {}",
    "authorization: basic {}=",
]

INNOCENT = [
    "",
    "tokenizer=bert",
    "max_tokens=5 and image_tokens = 4096",
    "/data/me@home/images",
    "git@github.com:owner/repository.git",
    "me@example.org=adapters/mine.py:Model",
    '{"images_sha256": "ab12", "keys": "a"}',
    "https://host:5000/x?limit=3&keypoints=7#part",
    "s3://bucket/a/folder@2/x.jpg",
    "a basic description of a bearer certificate",
    "sambench run --models a,b --suites gt_box --out runs/x",
    "KeyError: 'miou'",
    "monkey=1 turnkey=2",
]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is secret in the environment of the tests is not known."""
    monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_hidden_and_what_surrounds_it_is_not(text: str) -> None:
    found = redacted(text.format(SECRET))
    assert SECRET not in found
    assert "hunter" not in found
    assert "and more" not in found
    assert HIDDEN in found
    assert redacted(found) == found
    for kept in ("host", "db.local", "/x", "--out x", "bucket", "&x=1", "x=1&", "#part"):
        assert (kept in found) == (kept in text.format(SECRET)), found


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("FOO_TOKEN", True),
        ("MLFLOW_TRACKING_PASSWORD", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("MYSQL_PWD", True),
        ("registry_auth", True),
        ("KEY", True),
        ("PWD", False),
        ("OLDPWD", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("MONKEY", False),
        ("KEYBOARD", False),
    ],
)
def test_a_variable_is_secret_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, secret: bool) -> None:
    monkeypatch.setattr("os.environ", {name: "/data/of/mine"})
    hidden = {"path": f"{HIDDEN}/images", "some": [HIDDEN, 3]}
    kept = {"path": "/data/of/mine/images", "some": ["/data/of/mine", 3]}
    assert without_secrets(kept) == (hidden if secret else kept)


def test_of_two_values_the_longer_is_hidden_whole_and_short_ones_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "os.environ", {"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghi", "C_TOKEN": "coco", "D_KEY": ""}
    )
    assert redacted("abcdefghi, abcdef, coco") == f"{HIDDEN}, {HIDDEN}, coco"


@given(st.text(st.characters(exclude_characters="/'\"", exclude_categories=("Z", "C")), min_size=1))
def test_whatever_the_password_is_the_url_is_without_it(password: str) -> None:
    assert redacted(f"see https://me:{password}@host/x now") == f"see https://{HIDDEN}@host/x now"


@given(st.text(st.sampled_from("abgo/:@.?&=- _'\"token"), max_size=80))
def test_hiding_again_hides_nothing_more(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc 01é/.,_"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_sha256"), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_without_a_secret_stays_as_it_is(value: Any) -> None:
    assert without_secrets(value) == value


def test_texts_of_secret_names_are_hidden_and_numbers_are_not() -> None:
    given = {"token": "x", "api_keys": ["x", 3], "max_tokens": "5", "password": None, "a": {"hf_token": ""}}
    hidden = {
        "token": HIDDEN,
        "api_keys": [HIDDEN, 3],
        "max_tokens": "5",
        "password": None,
        "a": {"hf_token": ""},
    }
    assert without_secrets(given) == hidden
    assert without_secrets({"signature": 0.5, "token_iou": 3}) == {"signature": 0.5, "token_iou": 3}


def test_a_long_text_is_no_work() -> None:
    """Where the work is the square of the length, this takes an hour."""
    for part in ("a", "token", "a.", "http://", "'token'", "--token", "Basic "):
        redacted(part * (200_000 // len(part)) + " ?token=x ://")


ADAPTER = """
from sambench.adapters.families.baselines import Box

class Mine(Box):
    def __init__(self, name, *, token, url, **given):
        super().__init__(name, **given)
        self.token, self.url = token, url

    def embed(self, prepared):
        raise ConnectionError(f"401 for {self.url}?token={self.token}, sent token='{self.token}'")
"""


def test_no_file_of_a_run_has_a_secret(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the environment in a path, of an adapter's options, and of the text of its error."""
    monkeypatch.undo()
    monkeypatch.setenv("FOO_TOKEN", "from-environment")
    images = tmp_path / "from-environment"
    os.symlink(tiny.images, images)
    (tmp_path / "mine.py").write_text(ADAPTER)
    options = {"token": "from-options", "url": "https://me:from-url@host/x"}
    settings = {
        "models": ["box"],
        "adapters": [{"name": "mine", "class": f"{tmp_path}/mine.py:Mine", "options": options}],
        "suites": ["gt_box"],
        "dataset": {"name": "tiny", "images": str(images), "annotations": str(tiny.annotations)},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    out = tmp_path / "out"
    done = call("run", tmp_path / "run.yaml", "--images", images, "--out", out)
    assert done.code == 1, done.err
    failed = cell_of(out, model="mine")
    assert "401 for https://***@host/x?token=***" in failed["reason"]
    assert failed["provenance"]["adapter"]["options"]["token"] == HIDDEN
    assert f"--images {tmp_path}/***" in failed["provenance"]["command"]
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {"results.json", "report.html", "report.md"} <= {file.name for file in files}
    for file in files:
        for secret in (b"from-environment", b"from-options", b"from-url"):
            assert secret not in file.read_bytes(), file
    assert json.loads((out / "results.json").read_text())["cells"]
