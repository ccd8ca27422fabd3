"""What a processor has, as far as this process may use it, and which precisions are emulated there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sambench.adapters.engines import ENGINES, processor

PLAIN = "model name : AMD EPYC 7763\nflags : fpu sse4_1 avx avx2 fma"
WIDE = "model name : Intel Xeon Gold\nflags : avx2 avx512f avx512_vnni"
ZEN4 = "model name : AMD EPYC 9654\nflags : avx2 avx512f avx512_vnni avx512_bf16"
XEON = ZEN4 + " avx_vnni avx512_fp16 amx_tile amx_int8 amx_bf16"
ARM = "processor : 0\nFeatures : fp asimd asimdhp asimddp sve bf16"
OURS = {
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "avx512_vnni": "avx512_vnni",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512_f",
    "avx2": "avx2",
}
"""Names of Linux to those of torch's own look at the processor."""

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let the process stand on another processor, without limits."""

    def stand_on(text: str | None) -> None:
        monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
        if text is not None:
            (tmp_path / "cpuinfo").write_text(f"processor : 0\n{text}\n\n{text}\n")
        processor._line.cache_clear()

    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    yield stand_on
    processor._line.cache_clear()


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (PLAIN, "AMD EPYC 7763", {"avx2"}),
        (ZEN4, "AMD EPYC 9654", {"avx2", "avx512f", "avx512_vnni", "avx512_bf16"}),
        (ARM, None, {"asimd", "asimdhp", "asimddp", "sve", "bf16"}),
        (None, None, set()),
    ],
)
def test_the_processor_is_read_as_linux_tells_it(machine, text, name, features) -> None:
    machine(text)
    assert set(processor.features()) == features
    assert processor.name() == name or (name is None and processor.name())


@pytest.mark.parametrize(
    ("limit", "features"),
    [
        ("AVX2", {"avx2"}),
        ("avx512_core", {"avx2", "avx512f"}),
        ("AVX512_CORE_BF16", {"avx2", "avx512f", "avx512_vnni", "avx512_bf16"}),
        ("DEFAULT", {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "avx512_fp16"}),
    ],
)
@pytest.mark.parametrize("variable", LIMITS[:2])
def test_what_onednn_may_not_use_is_not_there(machine, monkeypatch, variable, limit, features) -> None:
    machine(XEON)
    monkeypatch.setenv(variable, limit)
    assert set(processor.features()) - {"amx_int8", "amx_bf16"} == features
    assert ("amx_bf16" in processor.features()) == (limit == "DEFAULT")


@pytest.mark.parametrize("engine", [n for n, e in ENGINES.items() if "bf16" in e.precisions.get("cpu", ())])
def test_bf16_without_instructions_for_it_is_emulated(machine, engine: str) -> None:
    for text in (PLAIN, WIDE):
        machine(text)
        said = processor.emulated(engine, "bf16", "cpu")
        assert said is not None
        assert f"{engine} in bf16" in said
        assert processor.name() in said
        assert "slower than fp32" in said
    for text in (ZEN4, XEON, ARM, None):
        machine(text)
        assert processor.emulated(engine, "bf16", "cpu") is None


def test_fp32_is_never_emulated_and_a_gpu_is_no_cpu(machine) -> None:
    machine(PLAIN)
    assert processor.emulated("eager", "fp32", "cpu") is None
    assert processor.emulated("eager", "bf16", "cuda:0") is None


def unlimited() -> bool:
    return sys.platform == "linux" and not any(name in os.environ for name in LIMITS)


@pytest.mark.skipif(
    not (unlimited() and hasattr(torch.cpu, "get_capabilities")), reason="needs torch's own look"
)
def test_this_processor_is_what_torch_takes_it_for() -> None:
    seen = torch.cpu.get_capabilities()
    if seen["architecture"] != "x86_64":
        pytest.skip("the names are those of x86")
    expected = {name for name, theirs in OURS.items() if seen[theirs]}
    assert set(processor.features()) & OURS.keys() == expected


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "AVX512_CORE_FP16"])
def test_a_limit_takes_away_what_it_takes_from_onednn(limit: str) -> None:
    """oneDNN's own answers: bf16 from AVX-512 on, by emulation too; fp16 with instructions for it alone."""
    code = (
        "import torch; from sambench.adapters.engines.processor import features, emulated;"
        "ask = torch.ops.mkldnn;"
        "print(ask._is_mkldnn_bf16_supported() == ('avx512f' in features()),"
        "ask._is_mkldnn_fp16_supported() == ('avx512_fp16' in features()),"
        "emulated('eager', 'bf16', 'cpu') is None, 'avx512_bf16' in features())"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": limit, "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    bf16, fp16, native, has = done.stdout.split()
    assert (bf16, fp16) == ("True", "True")
    assert native == has
