"""Where models compute: a CPU, CUDA, and whatever other accelerator torch knows, which nobody tried."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, TypeVar

from sambench.evsam.errors import SambenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

TRIED = ("cpu", "cuda")
"""Kinds that tests and measurements were made on."""

OTHER = "another accelerator"
"""The key of all other kinds in a table by kind."""

Value = TypeVar("Value")


def kind_of(device: str) -> str:
    """Return ``cuda`` of ``cuda:1``."""
    return device.partition(":")[0]


def by_kind(table: Mapping[str, Value], kind: str) -> Value:
    """Return what a table by kind has for one; another accelerator gets what is modest, the CPU's."""
    return table.get(kind, table["cpu"])


def untried(device: str) -> str | None:
    """Say so of a device that nobody tried sambench on; ``None`` of the others."""
    if kind_of(device) in TRIED:
        return None
    return (
        f"device {device}: untested. sambench was tried on {' and '.join(TRIED)} alone; PyTorch computes as "
        "it can, and the numbers are marked '(untested)'. Compare a few with those of --device cpu."
    )


def check_device(name: str) -> torch.device:
    """Return a device that this machine has; of several cards, which one.

    Raises:
        SambenchError: it has not.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise SambenchError(
            f"no device {name!r}; say cpu, cuda or cuda:1, or another that torch knows, such as mps or xpu."
        ) from None
    if device.type == "cuda":
        return _check_cuda(name, device)
    if device.type != "cpu":
        return _check_other(name, device)
    if device.index:
        raise SambenchError(f"device {name!r} is not supported; say cpu.")
    return device


def _check_cuda(name: str, device: torch.device) -> torch.device:
    import torch

    if not torch.cuda.is_available():
        raise SambenchError(
            f"device {name!r}: this machine has no CUDA device that torch can use. Say --device cpu."
        )
    if (device.index or 0) >= torch.cuda.device_count():
        raise SambenchError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices.")
    if device.index is None:  # asking torch would take up memory of the card
        device = torch.device("cuda", torch.cuda.current_device() if torch.cuda.is_initialized() else 0)
    return device


def _check_other(name: str, device: torch.device) -> torch.device:
    import torch

    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if here is None or here.type != device.type:
        has = f"cpu and {here.type}" if here is not None else "cpu"
        raise SambenchError(f"device {name!r}: torch can use {has} on this machine. Say --device cpu.")
    if (device.index or 0) >= torch.accelerator.device_count():
        raise SambenchError(f"device {name!r}: this machine has {torch.accelerator.device_count()} of them.")
    return torch.device(device.type, device.index or 0)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type != "cpu":
        torch.accelerator.synchronize(device)


def free_memory(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory for later."""
    import torch

    gc.collect()  # what an error's traceback held
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type != "cpu":
        getattr(torch.accelerator, "empty_cache", lambda: None)()  # torch 2.6 has none


def name_of(device: torch.device) -> str:
    """Name an accelerator other than a CPU, as far as torch can tell."""
    import torch

    name = getattr(torch.get_device_module(device), "get_device_name", None)
    return str(name(device)) if name is not None else device.type
