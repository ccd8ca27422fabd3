"""Exported engines on a CPU against PyTorch: one file each of encoder and decoder, for all sizes."""

from __future__ import annotations

import pytest
import torch
from conftest import DIM, SIDE, SMALL, noise, prompts

from sambench.adapters import registry
from sambench.adapters.engines import artifacts, export, exported
from sambench.adapters.engines.exported import ExportedParts
from sambench.adapters.families import efficient_sam
from sambench.evsam.errors import SambenchError

ENGINES = (pytest.param("openvino", marks=pytest.mark.slow), "onnxruntime")
CLOSE = {"rtol": 1e-4, "atol": 2e-4}


@pytest.fixture(params=ENGINES)
def pair(request, created):
    """A segmenter in PyTorch, and in an engine."""
    return created(), created(engine=request.param)


@pytest.fixture(scope="module")
def features():
    return noise(1, DIM, 64, 64) / 4


@torch.inference_mode()
def decoded(segmenter, features, call, *arguments, masks=None):
    parts = segmenter.parts
    return getattr(parts, call)(parts.project(features, masks), *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_encoder(pair, batch):
    plain, engine = pair
    pixels = noise(batch, 3, SIDE, SIDE)
    torch.testing.assert_close(engine.run_encoder(pixels), plain.run_encoder(pixels), **CLOSE)


MOST = pytest.param(64, 2, marks=pytest.mark.slow)


@pytest.mark.parametrize(("n", "t"), [(1, 1), (1, 2), (2, 3), (7, 12), MOST, *((1, t) for t in range(4, 12))])
def test_one_decoder_serves_all_numbers_of_prompts_and_points(pair, features, n, t):
    xy, labels = prompts(n, t)
    want, got = (decoded(one, features, "decode_best", xy, labels) for one in pair)
    assert torch.equal(got[2], want[2])
    torch.testing.assert_close(got, want, **CLOSE)
    decoders = [kind for kind in pair[1].parts._decoders if kind == ("best", False)]
    assert len(decoders) == 1


@pytest.mark.slow
@pytest.mark.parametrize("multimask", [True, False])
def test_three_masks_or_the_single_one(pair, features, multimask):
    want, got = (decoded(one, features, "decode", *prompts(2, 2), multimask) for one in pair)
    assert got[0].shape == (2, 3 if multimask else 1, 256, 256)
    torch.testing.assert_close(got, want, **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3])
def test_masks_of_an_earlier_round(pair, features, n):
    masks = noise(n, 1, 256, 256)
    plain, engine = pair
    before = features.clone()
    want = decoded(plain, features, "decode_best", *prompts(n, 2), masks=masks)
    without = decoded(plain, features, "decode_best", *prompts(n, 2))
    got = decoded(engine, features, "decode_best", *prompts(n, 2), masks=masks)
    assert torch.equal(features, before)
    torch.testing.assert_close(got[:2], want[:2], **CLOSE)
    assert not torch.allclose(got[0], without[0], **CLOSE)


def test_a_result_is_the_callers(pair, features):
    _, engine = pair
    first = decoded(engine, features, "decode_best", *prompts(2, 2))
    kept = [x.clone() for x in first]
    decoded(engine, features * 2, "decode_best", *prompts(2, 3))
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.slow
def test_bf16_masks_are_those_of_fp32(created, features):
    xy, labels = prompts(7, 2)
    want = decoded(created(), features, "decode", xy, labels, True)[0] > 0
    got = decoded(created(engine="openvino", precision="bf16"), features, "decode", xy, labels, True)[0] > 0
    iou = (want & got).sum((2, 3)) / (want | got).sum((2, 3)).clamp(min=1)
    assert iou.mean() > 0.98
    assert not torch.equal(want, got), "it computed in float32"


@pytest.mark.slow
def test_another_networks_encoder_and_decoder(monkeypatch, tmp_path):
    """EfficientSAM has a plain ViT (here two blocks) with position embeddings, and six slots for points."""
    monkeypatch.setattr(efficient_sam, "DEPTH", 2)
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    plain, engine = (
        registry.create("efficient_sam_ti", weights="random", engine=one) for one in ("eager", "openvino")
    )
    pixels = noise(1, 3, 1024, 1024)
    want, got = plain.run_encoder(pixels), engine.run_encoder(pixels)
    torch.testing.assert_close(got, want, **CLOSE)
    for t in (2, 6):
        xy, labels = prompts(3, t)
        labels = labels.clamp(min=1)
        pair = [decoded(one, want, "decode_best", xy, labels)[:2] for one in (engine, plain)]
        torch.testing.assert_close(*pair, **CLOSE)


def test_what_is_built_is_kept(created, features, monkeypatch):
    want = decoded(created(engine="onnxruntime"), features, "decode_best", *prompts(2, 2))

    def never(*_):
        raise AssertionError("exported again")

    monkeypatch.setattr(artifacts, "export", never)
    again = registry.create(SMALL, weights="random", engine="onnxruntime")
    got = decoded(again, features, "decode_best", *prompts(2, 2))
    assert torch.equal(got[0], want[0])


@pytest.mark.slow
def test_what_is_damaged_is_built_again(created, engine_cache, features):
    engine = created(engine="onnxruntime")
    want = decoded(engine, features, "decode_best", *prompts(2, 2))
    file = engine.parts.artifacts.file(engine.parts.artifacts.decoder_graph("best"))
    assert file.is_relative_to(engine_cache)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    again = registry.create(SMALL, weights="random", engine="onnxruntime")
    got = decoded(again, features, "decode_best", *prompts(2, 2))
    assert torch.equal(got[0], want[0])


@pytest.mark.slow
def test_other_weights_precisions_and_graphs_are_other_entries(created):
    plain, low = (created(engine="openvino", precision=p).parts.artifacts for p in ("fp32", "bf16"))
    graphs = [
        plain.encoder_graph(),
        plain.decoder_graph("best"),
        plain.decoder_graph("three"),
        plain.decoder_graph("best", with_masks=True),
    ]
    keys = [plain.key(graph) for graph in graphs] + [low.key(low.decoder_graph("best"))]
    assert all(a != b for i, a in enumerate(keys) for b in keys[:i])


@pytest.mark.parametrize(
    ("engine", "module", "extra"),
    [("openvino", "openvino", "openvino"), ("onnxruntime", "onnxruntime", "onnx")],
)
def test_a_missing_library_is_named(created, monkeypatch, engine, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(SambenchError, match=rf"pip install 'sambench\[{extra}\]'"):
        registry.create(SMALL, weights="random", engine=engine)


def test_sessions_open_when_first_used(created):
    parts = created(engine="openvino", precision="fp32").parts
    assert isinstance(parts, ExportedParts)
    fresh = registry.create(SMALL, weights="random", engine="openvino").parts
    assert isinstance(fresh, exported.ExportedParts)
    assert not fresh._encoders
    assert not fresh._decoders


@pytest.mark.slow
def test_large_weights_lie_beside_the_file(created, features, tmp_path, monkeypatch):
    """Protobuf ends at 2 GiB, which SAM-ViT-H's encoder exceeds."""
    import onnxruntime

    monkeypatch.setattr(export, "LARGEST_INSIDE", 1 << 20)
    graphs = created(engine="onnxruntime").parts.artifacts
    graphs.export(graphs.decoder_graph("best"), tmp_path / "model.onnx")
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert set(sizes) == {"model.onnx", "model.onnx.data"}
    assert sizes["model.onnx"] < 2e6 < sizes["model.onnx.data"]
    xy, labels = prompts(2, 2)
    given = {"features": features.numpy(), "xy": xy.numpy(), "labels": labels.numpy()}
    logits, *_ = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, given)
    want, *_ = decoded(created(), features, "decode_best", xy, labels)
    torch.testing.assert_close(torch.from_numpy(logits), want, **CLOSE)


@pytest.mark.slow
def test_a_damaged_compiled_graph_is_compiled_again(created, engine_cache, features):
    want = decoded(created(engine="openvino"), features, "decode_best", *prompts(2, 2))
    blobs = list((engine_cache / "openvino").glob("*.blob"))
    assert blobs
    for blob in blobs:
        content = blob.read_bytes()
        blob.chmod(0o600)
        blob.write_bytes(content[: len(content) // 2])
    again = registry.create(SMALL, weights="random", engine="openvino")
    got = decoded(again, features, "decode_best", *prompts(2, 2))
    torch.testing.assert_close(got[0], want[0], **CLOSE)
