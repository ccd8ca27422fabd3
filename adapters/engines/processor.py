"""What the processor computes in itself, and which precisions are emulated on it.

torch says which instruction set its own kernels take (``AVX2``, ``AVX512``). Convolutions and products are
oneDNN's, OpenVINO's or ONNX Runtime's, and in low precision they depend on what the names below stand for.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

BF16 = ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16")
"""Linux's names of instructions for bf16, any of which computes in it: of x86, and the last of Arm."""

KNOWN = (
    *("avx2", "avx512f", "asimd", "sve"),  # float32
    *BF16,
    *("avx512_fp16", "amx_fp16", "asimdhp"),  # fp16
    *("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),  # int8
)
"""Linux's names of what kernels are chosen by (``arch/x86/include/asm/cpufeatures.h``, and for Arm
``Documentation/arch/arm64/elf_hwcaps.rst``)."""

_AVX512 = ("avx2", "avx512f")
_VNNI = (*_AVX512, "avx512_vnni")
_BF16 = (*_VNNI, "avx512_bf16")
_FP16 = (*_BF16, "avx512_fp16", "avx_vnni")
_AMX = (*_FP16, "amx_int8", "amx_bf16")
LEVELS: dict[str, tuple[str, ...]] = {
    "sse41": (),
    "avx": (),
    "avx2": ("avx2",),
    "avx2_vnni": ("avx2", "avx_vnni"),
    "avx2_vnni_2": ("avx2", "avx_vnni", "avx_ne_convert"),
    "avx512_core": _AVX512,
    "avx512_core_vnni": _VNNI,
    "avx512_core_bf16": _BF16,
    **dict.fromkeys(("avx512_core_fp16", "avx10_1_512"), _FP16),
    **dict.fromkeys(("avx512_core_amx", "avx10_1_512_amx"), _AMX),
}
"""What a process may use by ``ONEDNN_MAX_CPU_ISA`` (oneDNN's developer guide, "CPU Dispatcher Control")."""


def name() -> str:
    """Return the processor's name."""
    return _line("model name") or platform.processor() or platform.machine()


def features() -> tuple[str, ...]:
    """Return those of `KNOWN` that the processor has and oneDNN may use in this process.

    Empty where the system does not tell (it is not Linux).
    """
    has = set(_line("flags", "Features").split())
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    allowed = LEVELS.get(limit.lower(), has)
    return tuple(flag for flag in KNOWN if flag in has and flag in allowed)


def emulated(engine: str, precision: str, device: str) -> str | None:
    """Say so where a CPU computes a precision only through others, at a loss; ``None`` where it does not.

    That is bf16. Without AVX-512 PyTorch's convolutions in it are plain loops; with AVX-512, but without
    instructions for bf16, oneDNN's and OpenVINO's convert forth and back around products in float32. int8 is
    faster than fp32 with AVX2 alone too (docs/performance.md).

    Args:
        engine: a key of `adapters.engines.ENGINES`.
        precision: what it is to compute in.
        device: ``cpu`` or ``cuda:0``.
    """
    found = features()
    if device != "cpu" or precision != "bf16" or not found or set(BF16) & set(found):
        return None
    return (
        f"{engine} in bf16: this processor ({name()}: {', '.join(found)}) has no instructions for bf16. It "
        "is emulated, which is slower than fp32, many times so without AVX-512: take fp32, or take no speed "
        "for one of bf16."
    )


@cache
def _line(*keys: str) -> str:
    """The value of the first line of `CPUINFO` with one of these keys."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() in keys), "")
