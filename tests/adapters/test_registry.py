"""Models by name."""

import pytest

from sambench import adapters
from sambench.adapters.models import REGISTRY
from sambench.adapters.weights.resolve import sha256_of, weights_folder
from sambench.evsam.errors import SambenchError
from sambench.evsam.zoo import VARIANTS


def test_every_variant_is_registered():
    assert set(VARIANTS) <= set(REGISTRY)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("efficientvit_sam_L0", {}, "mean 'efficientvit_sam_l0'"),
        ("box", {"engine": "eagre"}, "mean 'eager'"),
        ("box", {"precision": "fp8"}, "precision 'fp8'"),
        ("box", {"device": "tpu9"}, "device 'tpu9'"),
        ("box", {"device": "meta"}, "device 'meta'"),
        ("box", {"weights": "w.pt"}, "no parameters"),
    ],
)
def test_what_is_not_there_is_refused_by_name(name, options, message):
    with pytest.raises(SambenchError, match=message):
        adapters.create(name, **options)


def test_the_weights_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("SAMBENCH_WEIGHTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert weights_folder().parts[-2:] == ("sambench", "weights")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SambenchError, match="absent"):
        sha256_of(tmp_path / "absent")


def test_a_folders_checksum_is_of_all_files_in_it_and_of_no_hidden_one(tmp_path):
    for name in ("config.json", "part/weights.bin", ".cache/lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"one")
    before = sha256_of(tmp_path)
    (tmp_path / ".cache/lock").write_bytes(b"two")
    assert sha256_of(tmp_path) == before
    (tmp_path / "part/weights.bin").write_bytes(b"two")
    assert sha256_of(tmp_path) != before
