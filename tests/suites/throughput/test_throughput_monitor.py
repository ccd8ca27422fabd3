"""What the machine did meanwhile."""

from __future__ import annotations

import math
import mmap
import multiprocessing
import time
from types import SimpleNamespace

import pytest
import torch

from sambench.suites.throughput.ceilings import Ceilings, measure_ceilings
from sambench.suites.throughput.memory import peak_mb, reset_peak
from sambench.suites.throughput.monitor import CpuSensors, Monitor, NoSensors, NvmlSensors, sensors


class UnsupportedError(Exception):
    pass


class FakeNvml:
    """The calls that are used, of a card whose values are given; no sensor for memory clocks."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVMLError_NotSupported = UnsupportedError

    def __init__(self, reasons=0, processes=1):
        self.reasons, self.processes = reasons, processes

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return "580.1"

    def nvmlDeviceGetClockInfo(self, handle, which):  # noqa: N802
        if which == self.NVML_CLOCK_MEM:
            raise UnsupportedError
        return 1755

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return 350_000

    def nvmlDeviceGetTemperature(self, handle, which):  # noqa: N802
        return 61

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(used=2_000_000_000)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return self.reasons

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return [None] * self.processes


def seen(nvml):
    its = NvmlSensors(nvml, object())
    with Monitor(its) as running:
        time.sleep(0.35)
    return running.summary()


def test_a_quiet_gpu_has_values_and_no_disturbance():
    found = seen(FakeNvml(reasons=0x04))
    assert found["sm_mhz"] == [1755, 1755, 1755]
    assert found["power_w"] == [350, 350, 350]
    assert "mem_mhz" not in found
    assert found["power_capped"]
    assert found["disturbances"] == []


@pytest.mark.parametrize(
    ("reasons", "processes", "words"),
    [
        (0, 3, ["2 other processes on the GPU"]),
        (0x40, 1, ["hardware thermal slowdown"]),
        (0x08 | 0x80, 2, ["1 other processes on the GPU", "hardware slowdown", "power brake"]),
    ],
)
def test_others_and_slowdowns_disturb(reasons, processes, words):
    assert seen(FakeNvml(reasons, processes))["disturbances"] == words


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        math.sqrt(2.0)


@pytest.mark.slow
def test_another_process_on_the_cpu_is_seen_and_ones_own_work_is_not():
    its = CpuSensors()
    if its.absent:
        pytest.skip(its.absent)
    other = multiprocessing.get_context("spawn").Process(target=burn, args=(30.0,))
    other.start()
    try:
        time.sleep(1.0)  # it starts an interpreter first
        its.read()
        time.sleep(0.5)
        assert its.read()["others"] > 0.5 / torch.get_num_threads() / 4
    finally:
        other.kill()
        other.join()
    assert its.disturbances([{"others": 0.0}, {"others": 0.05}]) == []
    assert its.disturbances([{"others": 0.4}, {"others": 0.2}]) == [
        "other processes took 30% of the processors"
    ]


def test_own_work_is_taken_off(monkeypatch):
    ticks = iter([(0.0, 0.0, 0.0), (100.0, 70.0, 60.0)])
    monkeypatch.setattr(CpuSensors, "_ticks", lambda self: next(ticks))
    assert CpuSensors().read()["others"] == pytest.approx(0.1)


def test_without_nvml_the_result_says_so():
    its = NoSensors("no pynvml")
    with Monitor(its) as running:
        time.sleep(0.15)
    assert running.summary()["absent"] == "no pynvml"
    assert running.summary()["disturbances"] == []


@pytest.mark.slow
def test_ceilings_are_rates_of_this_machine():
    found = measure_ceilings(torch.device("cpu"), "fp32")
    assert 1e-3 < found.product_tflop_s <= found.tflop_s < 1e3
    assert 0.1 < found.gb_s < 1e5
    int8 = measure_ceilings(torch.device("cpu"), "int8")
    assert int8.tflop_s is None
    better = found.or_better(Ceilings(1e6, 1e6, 0.0))
    assert better == Ceilings(1e6, 1e6, found.gb_s)
    assert int8.or_better(int8) == int8


def test_the_peak_of_memory_is_that_of_the_stretch():
    cpu = torch.device("cpu")
    reset_peak(cpu)
    before = peak_mb(cpu)
    with mmap.mmap(-1, 200_000_000) as block:  # fresh pages, which memory freed before would not be
        for _ in range(200):  # bytes of all at once would stay in a heap that keeps what is freed
            block.write(b"\1" * 1_000_000)
        assert peak_mb(cpu) - before > 150
    reset_peak(cpu)
    assert peak_mb(cpu) - before < 100


@pytest.mark.gpu
def test_a_gpu_answers_through_nvml():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("pynvml")
    torch.ones(1, device="cuda")
    found = sensors(torch.device("cuda")).read()
    assert found["temperature_c"] > 0
    assert found["sm_mhz"] > 0
