"""``sambench export``, its files in plain ONNX Runtime as docs/engines.md says, runs with such an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command import ROOT, call
from PIL import Image

SMALL = "efficientvit_sam_l0"
SMALLER = "efficientvit_sam_nano"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "exported"
    done = call("export", SMALL, "--weights", "random", "--out", folder)
    assert done.code == 0, done.err
    return folder


def files(folder):
    return sorted(f.name for f in folder.iterdir())


@pytest.mark.slow
def test_two_files_that_say_what_they_are(exported):
    import onnx

    assert files(exported) == [f"{SMALL}-decoder-best.onnx", f"{SMALL}-encoder.onnx"]
    for name in files(exported):
        model = onnx.load(exported / name)
        facts = {entry.key: entry.value for entry in model.metadata_props}
        assert facts["sambench.model"] == SMALL
        assert facts["sambench.weights"] == "random 0"
        assert {"sambench.torch", "sambench.types", "sambench.sizes", "sambench.sambench"} <= set(facts)
        assert len(model.SerializeToString()) > 1e7, "the weights are inside"


@pytest.mark.slow
def test_the_documented_example_gives_our_masks(exported, coco_mini, monkeypatch):
    """The example resizes masks with PIL, which smooths where it shrinks, so edges differ a little."""
    from torch import tensor

    from sambench.adapters import registry
    from sambench.adapters.base import Prompts

    image = sorted(coco_mini.images.glob("*.jpg"))[0]
    Image.open(image).save(exported.parent / "image.jpg", quality=100)
    monkeypatch.chdir(exported.parent)
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "engines.md").read_text(), re.DOTALL)
    found: dict[str, np.ndarray] = {}
    exec(code[0], found)
    segmenter = registry.create(SMALL, weights="random")
    pixels = np.asarray(Image.open("image.jpg").convert("RGB"))
    (embedding,) = segmenter.encode([pixels])
    for kind, prompts in {
        "box": Prompts(boxes=tensor(found["boxes"])),
        "point": Prompts(points=tensor([[[120.0, 90], [10, 10]]]), labels=tensor([[1, 0]])),
    }.items():
        best = segmenter.decode_best(embedding, prompts)
        np.testing.assert_allclose(found[f"{kind}_iou"], best.iou.numpy(), atol=1e-3)
        want = (segmenter.upsample(best.logits, embedding.size) > 0).numpy()
        got = found[f"{kind}_masks"]
        assert got.shape == want.shape
        assert (got == want).mean() > 0.97


@pytest.mark.slow
def test_nothing_is_replaced_unasked(exported):
    before = {f: f.stat().st_mtime_ns for f in exported.iterdir()}
    done = call("export", SMALL, "--weights", "random", "--out", exported)
    assert done.code == 2
    assert "--force" in done.err
    assert {f: f.stat().st_mtime_ns for f in exported.iterdir()} == before


@pytest.mark.slow
def test_openvino_decoder_as_one_file_replaced_when_asked(tmp_path):
    import openvino

    file = tmp_path / "new" / "d.xml"
    file.parent.mkdir()
    file.write_text("old")
    arguments = ["--format", "openvino", "--precision", "bf16", "--parts", "decoder", "--masks", "single"]
    done = call("export", SMALLER, "--weights", "random", "--out", file, *arguments, "--force")
    assert done.code == 0, done.err
    assert files(file.parent) == ["d.bin", "d.xml"]
    assert "compile_model" in done.out
    model = openvino.Core().read_model(file)
    assert [x.get_any_name() for x in model.inputs] == ["features", "xy", "labels"]
    assert {x.get_element_type().to_string() for x in model.outputs} == {"f32"}
    assert "bf16" in {op.get_output_element_type(0).to_string() for op in model.get_ops() if op.outputs()}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "onxx"], "there is onnx"),
        (["--precision", "fp8"], "there is fp32"),
        (["--format", "openvino", "--precision", "fp16"], "it has fp32, bf16, int8"),
        (["--masks", "all"], "there is best, three, single"),
        (["--parts", "neck"], "there is both"),
        (["--batch-size", "65"], "batch_size must be at most 64, not 65"),
        (
            ["--parts", "decoder", "--precisions", "fp32,fp16", "--out", "x.onnx"],
            "one file for several exports",
        ),
        (["--out", "x.onnx"], "name a folder, or one part"),
        (["--precision", "int8"], "SAMBENCH_CALIBRATION"),
        (["--weights", "nowhere.pt"], "no checkpoint"),
    ],
)
def test_bad_requests_write_nothing(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAMBENCH_CALIBRATION", raising=False)
    done = call("export", SMALL, "--weights", "random", "--out", "folder", *arguments)
    assert done.code == 2
    assert says in done.err.replace("\n", " ")
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


def test_a_model_of_another_structure_is_refused(tmp_path):
    done = call("export", "box", "--out", tmp_path)
    assert done.code == 2
    assert "cannot be exported" in done.err


@pytest.mark.slow
def test_boxes_and_clicks_through_an_engine(coco_mini, tmp_path, engine_cache):
    """The same IoUs from OpenVINO as from PyTorch, object by object, masks of earlier rounds included."""
    del engine_cache

    def rows(engine) -> list[dict]:
        out: Path = tmp_path / engine
        done = call(
            "run", "--dataset", "coco", "--models", SMALLER, "--weights", f"{SMALLER}=random",
            "--suites", "gt_box,click",
            "--images", coco_mini.images, "--annotations", coco_mini.annotations, "--limit", 2,
            "--engine", engine, "--out", out,
        )  # fmt: skip
        assert done.code == 0, done.err
        return json.loads((out / "results.json").read_text())["cells"]

    both = list(zip(rows("eager"), rows("openvino"), strict=True))
    assert [plain["suite"] for plain, _ in both] == ["gt_box", "click"]
    for plain, fast in both:
        assert fast["status"] == "done", fast["reason"]
        assert (plain["engine"], fast["engine"]) == ("eager", "openvino")
        for name, value in plain["metrics"].items():
            if isinstance(value, int | float):
                assert fast["metrics"][name] == pytest.approx(value, abs=0.2), name
