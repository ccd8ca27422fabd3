"""Checkpoints of ultralytics: told apart by name, opened without running them, and refused with a reason."""

import json
import os
import subprocess
import sys

import pytest
import tiny_ultralytics
import torch

from sambench import adapters
from sambench.adapters.base import Weights
from sambench.adapters.families import ultralytics_sam
from sambench.evsam.errors import SambenchError


@pytest.fixture(scope="module")
def library():
    with tiny_ultralytics.imported() as library:
        yield library


@pytest.fixture(scope="module")
def fast_sam_file(library, tmp_path_factory):
    return tiny_ultralytics.save_fast_sam(library, tmp_path_factory.mktemp("fast_sam"))


@pytest.mark.parametrize("file", ["sam2_t.pt", "sam2.1_b.pt"])
def test_sam2_is_built_with_the_parts_that_its_checkpoint_has(library, file, monkeypatch):
    """As ultralytics builds it for a checkpoint of that name, with the checkpoint's opening left out."""
    build = library.models.sam.build
    ours = ultralytics_sam._sam2(library, file)
    monkeypatch.setattr(build, "_load_checkpoint", lambda model, checkpoint: model)
    its = build.sam_model_map[file](checkpoint=file)
    shapes = [{key: value.shape for key, value in m.state_dict().items()} for m in (ours, its)]
    assert shapes[0] == shapes[1]


def test_sam2_checkpoints_load_strictly(library, monkeypatch, tmp_path):
    monkeypatch.setitem(
        library.models.sam.build.sam_model_map, "sam2_t.pt", lambda: tiny_ultralytics.small_sam2(library)
    )
    path = tmp_path / "sam2_t.pt"
    state = tiny_ultralytics.small_sam2(library).state_dict()
    torch.save({"model": state}, path)
    found = adapters.create(f"ultralytics:{path}")
    assert found.weights.source == "file"
    assert all(torch.equal(v, state[k]) for k, v in found.model.state_dict().items())
    del state["no_mem_embed"]
    torch.save({"model": state}, path)
    with pytest.raises(SambenchError, match="1 missing keys, first no_mem_embed"):
        adapters.create(f"ultralytics:{path}")


@pytest.mark.parametrize("name", ["fast_sam_s", "ultralytics:FastSAM-s.pt"])
def test_random_weights_are_seeded_and_say_so(library, name):
    a, b = (ultralytics_sam.create(name, weights="random", device=torch.device("cpu")) for _ in range(2))
    assert a.weights == Weights("random", seed=0)
    assert sum(p.numel() for p in a.model.parameters()) == pytest.approx(11.8e6, rel=0.01)  # YOLOv8s-seg
    for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(x, y)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("file", ["FastSAM-s.pt", "sam2_t.pt"])
@pytest.mark.parametrize("place", ["model", "train_args"])
def test_a_checkpoint_that_holds_code_is_refused_and_not_run(library, tmp_path, file, place, fast_sam_file):
    checkpoint = torch.load(fast_sam_file, weights_only=False)
    path = tmp_path / file
    torch.save(checkpoint | {place: Evil(tmp_path / "ran")}, path)
    with pytest.raises(SambenchError, match="refused"):
        adapters.create(f"ultralytics:{path}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_damaged_or_foreign_file_is_an_error_that_names_it(library, tmp_path, fast_sam_file):
    path = tmp_path / "FastSAM-s.pt"
    other = library.nn.tasks.SegmentationModel("yolov8n-seg.yaml", nc=3, verbose=False)
    damaged = {
        "refused": lambda: path.write_bytes(fast_sam_file.read_bytes()[:-5000]),
        "refused.*EOFError|refused.*TypeError": lambda: path.write_bytes(b""),
        "Is it of another size": lambda: torch.save({"model": other}, path),
        "holds a NoneType": lambda: torch.save({"weights": 1}, path),
        "holds a dict": lambda: torch.save({"model": {"a": 1}}, path),
    }
    for message, write in damaged.items():
        write()
        with pytest.raises(SambenchError, match=message) as error:
            adapters.create(f"ultralytics:{path}")
        assert str(path) in str(error.value)


def test_a_name_that_is_not_served_is_refused_with_the_nearest():
    with pytest.raises(SambenchError, match=r"mean .FastSAM-x.pt.*sam_vit_b"):
        adapters.create("ultralytics:FastSAM-m.pt", weights="random")


def test_a_file_that_is_not_there_is_an_error(library, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"no checkpoint at .*sam2_t\.pt"):
        adapters.create("ultralytics:sam2_t.pt")


def test_a_library_that_is_missing_or_too_old_is_named_with_the_remedy(library, monkeypatch):
    monkeypatch.setattr(ultralytics_sam, "LEAST_VERSION", (99, 0, 1))
    with pytest.raises(SambenchError, match=r"pip install 'ultralytics>=99\.0\.1'"):
        adapters.create("ultralytics:FastSAM-s.pt", weights="random")
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[yolo\]'.*AGPL-3\.0"):
        adapters.create("ultralytics:FastSAM-s.pt", weights="random")


ALONE = """
import json, os, sys
import cv2, numpy, PIL.Image, torch
def state():
    return [dict(os.environ), cv2.getNumThreads(), torch.save.__module__, PIL.Image.open.__module__,
            str(numpy.get_printoptions()), str(vars(torch._tensor_str.PRINT_OPTS)), torch.get_num_threads()]
before = state()
from sambench import adapters
adapters.create("ultralytics:FastSAM-s.pt", weights="random").encode([numpy.zeros((32, 32, 3), numpy.uint8)])
changed = [i for i, (a, b) in enumerate(zip(before, state())) if a != b]
print(json.dumps({"changed": changed, "loaded": "ultralytics" in sys.modules}))
"""


@pytest.mark.slow
def test_the_library_leaves_the_process_and_the_home_as_they_were(library, tmp_path):
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "YOLO_", "ULTRALYTICS_", "OMP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=tmp_path,
        env=kept | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"changed": [], "loaded": True}
    assert done.stderr == ""
    assert list(tmp_path.rglob("*")) == []
