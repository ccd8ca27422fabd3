"""What the machine did meanwhile, ten times a second: clocks, power, temperature, and who else was there."""

from __future__ import annotations

import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sambench.adapters.extras import install

EVERY = 0.1
"""Seconds between samples (protocol 4.3.8: 10 Hz)."""

Sample = dict[str, float]

OTHERS_CPU = 0.1
"""Share of all processors that others may take before a measurement on the CPU counts as disturbed."""

_SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""NVML's clock event reasons that make a measurement invalid (nvml.h, nvmlClocksEventReasons)."""

_POWER_CAP = 0x04


class Sensors(ABC):
    """What can be read of one device."""

    absent: str = ""
    """What cannot be read here, in words."""
    driver: str | None = None
    """Version of a GPU's driver."""

    @abstractmethod
    def read(self) -> Sample:
        """Return the values of this moment."""

    @abstractmethod
    def disturbances(self, samples: Sequence[Sample]) -> list[str]:
        """Return what makes a measurement doubtful, in words."""


class CpuSensors(Sensors):
    """Load average, clock, and the share of all processors that other processes took (Linux)."""

    def __init__(self) -> None:
        self.absent = "" if Path("/proc/stat").exists() else "no /proc here: load and clocks are not known"
        self._last = self._ticks()

    def read(self) -> Sample:
        """Return ``load``, ``others`` (share of all processors since the last reading) and ``mhz``."""
        if self.absent:
            return {}
        found = {"load": os.getloadavg()[0]}
        now = self._ticks()
        total, busy, own = (a - b for a, b in zip(now, self._last, strict=True))
        if total > 0:
            found["others"] = min(max((busy - own) / total, 0.0), 1.0)
        self._last = now
        if clocks := re.findall(r"cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text()):
            found["mhz"] = sum(map(float, clocks)) / len(clocks)
        return found

    def _ticks(self) -> tuple[float, float, float]:
        """Ticks of all processors: all, not idle, and this process's own (proc(5))."""
        if self.absent:
            return 0.0, 0.0, 0.0
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        own = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # from the third field on
        return sum(fields), sum(fields) - fields[3] - fields[4], int(own[11]) + int(own[12])

    def disturbances(self, samples: Sequence[Sample]) -> list[str]:
        """Name other processes that took more than `OTHERS_CPU`."""
        others = [s["others"] for s in samples if "others" in s]
        taken = sum(others) / len(others) if others else 0.0
        return [f"other processes took {100 * taken:.0f}% of the processors"] if taken > OTHERS_CPU else []


class NvmlSensors(Sensors):
    """An NVIDIA GPU, through NVML.

    Args:
        nvml: the module ``pynvml``, initialised.
        handle: of the device.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.nvml, self.handle = nvml, handle
        self.driver = str(nvml.nvmlSystemGetDriverVersion())

    def read(self) -> Sample:
        """Return clocks, power, temperature, memory, event reasons and how many processes compute there."""
        nvml, handle = self.nvml, self.handle
        reads = {
            "sm_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "mem_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "memory_mb": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6,
            "reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            "processes": lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
        }
        found = {}
        for name, read in reads.items():
            try:
                found[name] = float(read())
            except nvml.NVMLError_NotSupported:  # some cards have no such sensor
                continue
        return found

    def disturbances(self, samples: Sequence[Sample]) -> list[str]:
        """Name other processes on the GPU, and slowdowns. This process itself is one of those counted."""
        found = []
        most = max((s.get("processes", 0) for s in samples), default=0)
        if most > 1:
            found.append(f"{int(most) - 1} other processes on the GPU")
        reasons = 0
        for sample in samples:
            reasons |= int(sample.get("reasons", 0))
        return found + [text for bit, text in _SLOWDOWNS.items() if reasons & bit]


class NoSensors(Sensors):
    """A device of which nothing can be read; says why."""

    def __init__(self, why: str) -> None:
        self.absent = why

    def read(self) -> Sample:
        return {}

    def disturbances(self, samples: Sequence[Sample]) -> list[str]:
        del samples
        return []


def sensors(device: torch.device) -> Sensors:
    """Return what can be read of a device; nothing, with the reason, where NVML or its module is absent."""
    if device.type != "cuda":
        return CpuSensors()
    try:
        import pynvml
    except ImportError:
        return NoSensors(f"no pynvml ({install('gpu')}): clocks and other processes are not known")
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        pynvml.nvmlInit()
        return NvmlSensors(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
    except pynvml.NVMLError as error:
        return NoSensors(f"NVML does not answer ({error}): clocks and other processes are not known")


class Monitor:
    """A thread that reads sensors while a ``with`` block runs.

    Attributes:
        samples: what it read, each with ``at``, seconds since the block began.
    """

    def __init__(self, sensors: Sensors) -> None:
        self.sensors = sensors
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sambench-monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self.samples.append({"at": time.perf_counter() - self._began} | self.sensors.read())

    def summary(self) -> dict[str, Any]:
        """Return lowest, median and highest of each value, disturbances, and what could not be read."""
        names = dict.fromkeys(name for sample in self.samples for name in sample if name != "at")
        values = {name: [s[name] for s in self.samples if name in s] for name in names}
        capped = any(int(s.get("reasons", 0)) & _POWER_CAP for s in self.samples)
        return {
            **{name: [min(v), median(v), max(v)] for name, v in values.items()},
            "power_capped": capped,
            "disturbances": self.sensors.disturbances(self.samples),
            "absent": self.sensors.absent,
        }
