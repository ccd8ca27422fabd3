"""int8 encoders: calibrated on real images, or refused."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import torch
from conftest import DIM, noise

from sambench.adapters.engines import calibrate
from sambench.evsam.errors import SambenchError


@pytest.fixture
def two_images(coco_mini_train, tmp_path, monkeypatch):
    for file in sorted(coco_mini_train.images.glob("*.jpg"))[:2]:
        shutil.copy(file, tmp_path)
    monkeypatch.setenv(calibrate.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_an_int8_encoder_is_near_float32_and_not_equal(created, two_images):
    import onnx
    from PIL import Image

    plain, low = created(), created(engine="openvino", precision="int8")
    image = np.asarray(Image.open(next(two_images.glob("*.jpg"))).convert("RGB"))
    pixels = plain.prepare(image).pixels[None]
    want, got = plain.run_encoder(pixels), low.run_encoder(pixels)
    assert 1e-4 < (got - want).norm() / want.norm() < 0.3
    file = low.parts.artifacts.file(low.parts.artifacts.encoder_graph())
    graph = onnx.load(file).graph
    inputs = {name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.input[:1]}
    producers = {name: node.op_type for node in graph.node for name in node.output}
    assert inputs
    assert not {node.op_type for node in graph.node if node.op_type == "MatMul"} & {
        producers.get(name) for name in inputs
    }, "attention's products stay in float32"


@pytest.mark.slow
def test_the_decoder_beside_it_is_float32(created, two_images):
    plain, low = created(), created(engine="openvino", precision="int8")
    features = noise(1, DIM, 64, 64) / 4
    xy, labels = torch.full((1, 2, 2), 75.0), torch.tensor([[2, 3]])
    with torch.inference_mode():
        want, got = (p.decode_best(p.project(features), xy, labels) for p in (plain.parts, low.parts))
    torch.testing.assert_close(got[0], want[0], rtol=1e-4, atol=2e-4)


def test_no_images_are_explained(monkeypatch, tmp_path):
    monkeypatch.delenv(calibrate.VARIABLE, raising=False)
    with pytest.raises(SambenchError, match=r"Set SAMBENCH_CALIBRATION to a folder"):
        calibrate.images()
    monkeypatch.setenv(calibrate.VARIABLE, str(tmp_path))
    with pytest.raises(SambenchError, match="there are no images"):
        calibrate.images()


def test_they_are_read_as_all_images_are(created, tmp_path):
    """Sixteen bits are scaled to eight, where Pillow's conversion alone would make them all white."""
    values = np.linspace(0, 65535, 60 * 80).astype(np.uint16).reshape(60, 80)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    gray = np.round(values.astype(np.float64) * 255 / 65535).astype(np.uint8)
    plain = created()
    (given,) = calibrate._inputs(plain, [tmp_path / "deep.png"])
    want = plain.prepare(np.stack([gray] * 3, axis=2)).pixels[None].numpy()
    np.testing.assert_array_equal(given["pixels"], want)


def test_a_damaged_one_is_named(created, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"this is text")
    with pytest.raises(SambenchError, match=r"bad\.jpg: not an image that Pillow can read"):
        list(calibrate._inputs(created(), [tmp_path / "bad.jpg"]))


def test_most_images_are_so_many(monkeypatch, tmp_path):
    for i in range(40):
        (tmp_path / f"{i:02}.JPG").touch()
    (tmp_path / "read.me").touch()
    monkeypatch.setenv(calibrate.VARIABLE, str(tmp_path))
    assert [f.stem for f in calibrate.images()] == [f"{i:02}" for i in range(32)]
