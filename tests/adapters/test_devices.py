"""Devices: a CPU, CUDA, and any other accelerator that torch says this machine has (a pretended one here)."""

from __future__ import annotations

import pytest
import torch

from sambench.adapters import devices, engines
from sambench.evsam.errors import SambenchError


@pytest.fixture
def xpu(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """A machine with two XPUs, as far as torch's accelerator API tells; what it was asked to wait for."""
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    return waited


def test_an_accelerator_of_torch_is_taken_and_has_its_number(xpu: list[torch.device]) -> None:
    assert devices.check_device("xpu") == torch.device("xpu", 0)
    assert devices.check_device("xpu:1") == torch.device("xpu", 1)
    devices.wait_for(devices.check_device("xpu:1"))
    devices.wait_for(torch.device("cpu"))
    assert xpu == [torch.device("xpu", 1)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mps", "device 'mps': torch can use cpu and xpu on this machine. Say --device cpu"),
        ("meta", "device 'meta': torch can use cpu and xpu on this machine"),  # it computes nothing
        ("xpu:2", "device 'xpu:2': this machine has 2 of them"),
        ("gpu", "no device 'gpu'; say cpu, cuda or cuda:1"),
    ],
)
def test_what_the_machine_lacks_is_refused(xpu: list[torch.device], name: str, message: str) -> None:
    with pytest.raises(SambenchError) as error:
        devices.check_device(name)
    assert message in str(error.value)


def test_a_machine_without_an_accelerator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(SambenchError, match="torch can use cpu on this machine"):
        devices.check_device("mps")


def test_only_what_was_tried_is_not_marked() -> None:
    assert devices.untried("cpu") is None
    assert devices.untried("cuda:1") is None
    assert "device mps:0: untested" in str(devices.untried("mps:0"))


def test_pytorch_as_it_is_runs_anywhere_and_nothing_else_does() -> None:
    for precision in ("fp32", "bf16", "fp16"):
        engines.check("eager", precision, "mps")
    with pytest.raises(SambenchError, match="does not compute in tf32 on a mps; it does in fp32, bf16, fp16"):
        engines.check("eager", "tf32", "mps")
    for engine in set(engines.ENGINES) - {"eager"}:
        with pytest.raises(SambenchError, match=f"engine {engine} does not run on a mps; it runs on c"):
            engines.check(engine, "fp32", "mps")
    assert devices.by_kind({"cpu": 1, "cuda": 8}, "mps") == 1
