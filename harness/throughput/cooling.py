"""Letting a GPU cool down between measurements, so that the first model has no advantage."""

from __future__ import annotations

import time
from collections.abc import Callable

WARMER = 5
"""Degrees Celsius above the temperature at the start that are as good as cool (protocol 4.3.7)."""

LIMIT = 120.0
"""Seconds to wait at most: a GPU in a warm rack may not get there."""

EVERY = 1.0


class Cooling:
    """Waits for a GPU to come back to near its temperature at the start.

    Args:
        temperature: reads it, degrees Celsius.
    """

    def __init__(self, temperature: Callable[[], float]) -> None:
        self.temperature = temperature
        self.start = temperature()

    def wait(self) -> None:
        """Wait until it is cool, or for `LIMIT`."""
        began = time.monotonic()
        while self.temperature() >= self.start + WARMER and time.monotonic() - began < LIMIT:
            time.sleep(EVERY)


def cooling(uuid: str | None) -> Cooling | None:
    """Return what waits for a GPU; ``None`` for a CPU, and where NVML or its module is absent.

    Each measurement reads NVML itself and says if it could not.
    """
    if uuid is None:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
        return Cooling(lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)))
    except pynvml.NVMLError:
        return None
