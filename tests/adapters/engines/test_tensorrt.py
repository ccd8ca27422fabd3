"""TensorRT engines built, which the RTX one does without a GPU; running them needs one."""

from __future__ import annotations

import pytest

from sambench.adapters.engines import tensorrt
from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.graphs import TYPES
from sambench.evsam.errors import SambenchError
from tests.conftest import missing


@pytest.fixture(scope="module")
def rtx():
    for name in tensorrt.MODULES[1:]:
        try:
            return __import__(name)
        except ModuleNotFoundError:
            continue
    return missing("tensorrt_rtx is not installed")


@pytest.fixture(scope="module")
def artifacts(engine_cache):
    from sambench.adapters import registry

    return Artifacts(registry.create("efficientvit_sam_l0", weights="random"), TYPES["fp16"])


@pytest.mark.slow
def test_encoder_engine_of_one_batch(rtx, artifacts):
    graph = artifacts.encoder_graph()
    sizes = tensorrt.shapes(graph, 4)
    assert sizes == {"pixels": ((4, 3, 512, 512),) * 3}
    plan = tensorrt.build(rtx, artifacts.file(graph), sizes)
    weights = sum(p.numel() for p in graph.parameters()) * 2
    assert weights < len(plan) < 2 * weights, "half precision"


@pytest.mark.slow
def test_decoder_engine_of_all_sizes(rtx, artifacts):
    graph = artifacts.decoder_graph("best")
    sizes = tensorrt.shapes(graph, None)
    assert sizes["xy"] == ((1, 1, 2), (16, 2, 2), (64, 12, 2))
    assert sizes["features"] == ((1, 256, 64, 64),) * 3
    assert len(tensorrt.build(rtx, artifacts.file(graph), sizes, tf32=True)) > 1e6


def test_a_file_that_is_no_graph_is_refused(rtx, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(SambenchError, match="cannot read"):
        tensorrt.build(rtx, tmp_path / "x.onnx", {})


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(tensorrt, "MODULES", ("no_such_tensorrt",))
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[tensorrt\]'"):
        tensorrt.library()
