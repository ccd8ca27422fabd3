"""What a process is set to, as far as it changes arithmetic: its environment, and states of libraries."""

from __future__ import annotations

import os
from typing import Any

DECIDING = (
    "ATEN_CPU_CAPABILITY",  # instruction set of torch's own kernels (pytorch.org/docs, torch.backends.cpu)
    # oneDNN: instruction set, and implicit lower precision (its developer guide, "CPU dispatcher control" and
    # "Primitive attributes: floating-point math mode"); DNNL_ is the older spelling.
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE"),
    # oneMKL: code path and instruction set ("Obtaining Numerically Reproducible Results").
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    # numpy's products and loops (its build options), and OpenCV's kernels.
    *("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    *("OPENCV_CPU_DISABLE", "OPENCV_IPP"),
    # CUDA: TF32 whatever a program says (NVIDIA's libraries, and torch's own override), and the workspace
    # that decides whether cuBLAS repeats itself (its documentation, "Results Reproducibility").
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
)
"""Variables that change the bytes of a result on one machine. None of them is a secret."""


PACING = (
    # Threads, where they run and how they wait: OpenMP's own variables, GNU's and LLVM's, MKL's, OpenBLAS's.
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("ONEDNN_", "DNNL_"),  # oneDNN: caches, and what `DECIDING` has
    *("LD_PRELOAD", "MALLOC_"),  # another allocator, or glibc's thresholds (mallopt(3))
    # torch's allocator and CUDA's queues (pytorch.org/docs, "CUDA semantics"; CUDA C++ Programming Guide,
    # "CUDA Environment Variables").
    *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"),
    *("CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_MODULE_LOADING"),
)
"""Beginnings of the names of variables that change a speed, and not the bytes. None of them is a secret."""


def environment() -> dict[str, str]:
    """Return those of `DECIDING` that are set."""
    return {name: os.environ[name] for name in DECIDING if name in os.environ}


def pacing() -> dict[str, str]:
    """Return the variables that decide a speed: those of `environment`, and those that `PACING` names."""
    found = {name: value for name, value in os.environ.items() if name.startswith(PACING)}
    return dict(sorted((environment() | found).items()))


def settings() -> dict[str, Any]:
    """Read back what this process is set to, whoever set it."""
    import cv2
    import torch

    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "opencv_threads": cv2.getNumThreads(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "flush_denormal": flushes_denormals(),
        "matmul_tf32": products.allow_tf32,
        "cudnn": cudnn.enabled,
        "cudnn_tf32": cudnn.allow_tf32,
        "cudnn_benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
    }


def flushes_denormals() -> bool:
    """Tell whether torch takes the smallest numbers for zero; it has no other way to ask."""
    import torch

    smallest = torch.tensor([torch.finfo(torch.float32).smallest_normal], dtype=torch.float32, device="cpu")
    return bool((smallest / 2 == 0).item())
