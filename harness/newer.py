"""What is installed in a newer version than sambench was tested with: said, and never refused."""

from __future__ import annotations

import platform
import re
from importlib import metadata

TESTED = {
    "python": "3.13",
    "torch": "2.14",
    "numpy": "2.4",
    "pillow": "13.0",
    "opencv-python-headless": "5.0",
    "pyarrow": "26.0",  # today beside 25, which the whole mlflow wants
    "hotcoco": "1.3",
    "pycocotools": "2.0",
    "transformers": "5.23",
    "ultralytics": "8.4",
    "onnx": "1.23",
    "onnxruntime": "1.32",
    "openvino": "2026.4",
}
"""The newest minor versions that tests ran with; ``constraints.txt`` pins most of them."""


def newer() -> list[str]:
    """Return what is newer here, such as ``torch 2.15.0 (tested: 2.14)``."""
    found = {name: version for name in TESTED if (version := _installed(name))}
    return [
        f"{name} {version} (tested: {TESTED[name]})"
        for name, version in found.items()
        if _minor(version) > _minor(TESTED[name])
    ]


def _installed(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _minor(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
