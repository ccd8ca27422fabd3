"""Which files of which authors a model's parameters are: `weights.yaml`, read. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from functools import cache
from pathlib import Path

import msgspec
import yaml

from sambench.adapters.models import PHRASE_DETECTORS
from sambench.adapters.weights.shipped import shipped

FILE = Path(__file__).with_name("weights.yaml")

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""OWNER/NAME of a repository on the hub; paths such as ./folder are not."""


class RemoteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file to have."""

    name: str
    """Path within the weights folder, under the upstream name."""
    url: str
    zipped: bool = False
    """Whether the url is a zip that holds the file under its own name; size and checksum are the file's."""
    bytes: int | None = None
    """Size, where known."""
    sha256: str | None = None
    """Checksum, where known."""


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checkpoint of one model as its authors publish it."""

    files: tuple[RemoteFile, ...]
    """One checkpoint, or the files of one folder (configuration and parameters of the hub)."""
    licence: str
    """Of the weights, an SPDX identifier where there is one."""
    page: str
    """Where its authors describe and link it."""
    note: str | None = None
    """What a person must know to get it, such as terms to accept."""

    @property
    def location(self) -> Path:
        """Path within the weights folder: the file, or the folder where there are several."""
        first = Path(self.files[0].name)
        return first if len(self.files) == 1 else first.parent

    @property
    def sha256(self) -> str | None:
        """Checksum as `adapters.weights.resolve.sha256_of` gives it, where that of every file is known."""
        sums = {Path(file.name).name: file.sha256 for file in self.files}
        if None in sums.values():
            return None
        if len(self.files) == 1:
            return self.files[0].sha256
        lines = "".join(f"{name} {sums[name]}\n" for name in sorted(sums))
        return hashlib.sha256(lines.encode()).hexdigest()


def upstream(name: str) -> Upstream | None:
    """Return what a model's authors publish; of ``hf:OWNER/NAME`` the two files of such a repository."""
    library, colon, hub = name.partition(":")
    if colon and library == "hf" and HUB_NAME.fullmatch(hub):
        page, folder = f"https://huggingface.co/{hub}", hub.replace("/", "--")
        files = [
            RemoteFile(f"{folder}/{file}", f"{page}/resolve/main/{file}")
            for file in ("config.json", "model.safetensors")
        ]
        return Upstream(tuple(files), licence="as its page says", page=page)
    return upstreams().get(name)


def has_weights(name: str) -> bool:
    """Tell whether a model, or a part of one, has weights to be given; of one from outside nobody knows."""
    return name in PHRASE_DETECTORS or ":" in name or name in upstreams() or shipped(name) is not None


@cache
def upstreams() -> dict[str, Upstream]:
    """Read `weights.yaml`: registered name to what its authors publish."""
    return msgspec.convert(yaml.safe_load(FILE.read_text(encoding="utf-8")), dict[str, Upstream])


def weights_folder() -> Path:
    """Return ``$SAMBENCH_WEIGHTS``, or the user's data folder for sambench."""
    if given := os.environ.get("SAMBENCH_WEIGHTS"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sambench" / "weights"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sambench" / "weights"
