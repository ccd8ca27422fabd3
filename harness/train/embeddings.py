"""A teacher's embeddings on disk: shards in half precision, in a folder named by what decides them.

A folder has the embeddings of one view of one source's images by one teacher. Within it they are found by the
image's own pixels, so that whatever has changed since is noticed, and not learnt from.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sambench.adapters.files import remove_leftovers, write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.provenance import git_state, versions
from sambench.harness.train.sources.base import Source

SHARD = 256
"""Images a file: 0.5 GB of SAM's embeddings."""
PLAIN, MIRRORED = "plain", "mirrored"
"""The views of an image: as it is, and left to right."""
INDEX = "index.json"
DIGITS = 24  # of a SHA-256, in the folder's name


@dataclass(frozen=True)
class Shards:
    """The files of one view of a source's images.

    Args:
        root: the folder of all embeddings.
        key: what decides them, in JSON's types.
        images: how many the source has.
    """

    root: Path
    key: Mapping[str, Any]
    images: int

    @staticmethod
    def of(root: Path, teacher: Mapping[str, Any], source: Source, view: str) -> Shards:
        """Name the files of a teacher (`teacher.identity`) and a view of a source."""
        return Shards(root, {**teacher, "data": source.identity(), "view": view, "shard": SHARD}, len(source))

    @property
    def folder(self) -> Path:
        """Where they are."""
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()
        return self.root / digest[:DIGITS]

    def __len__(self) -> int:
        return math.ceil(self.images / SHARD)

    def path(self, shard: int) -> Path:
        """Return the file of the images from ``shard * SHARD`` on."""
        return self.folder / f"{shard:06d}.safetensors"

    def indices(self, shard: int) -> range:
        """Return which images of the source a shard is for."""
        return range(shard * SHARD, min((shard + 1) * SHARD, self.images))

    def missing(self) -> list[int]:
        """Return the shards that are not there."""
        return [shard for shard in range(len(self)) if not self.path(shard).exists()]

    def begin(self) -> None:
        """Write ``index.json``, unless it is there: what made them."""
        remove_leftovers(self.folder)
        if (self.folder / INDEX).exists():
            return
        about = {"schema": 1, **self.key, "images": self.images, "versions": versions(), "git": git_state()}
        write_atomic(self.folder / INDEX, (json.dumps(about, indent=1) + "\n").encode())

    def write(self, shard: int, embeddings: Sequence[Tensor], digests: Sequence[bytes]) -> None:
        """Write a shard: the embeddings (C, h, w) float16 of its images, but those that are damaged.

        Raises:
            SambenchError: the disk is full.
        """
        found = torch.stack(list(embeddings)) if embeddings else torch.zeros(0, dtype=torch.float16)
        images = torch.tensor([list(digest) for digest in digests], dtype=torch.uint8)
        write_atomic(self.path(shard), save({"embeddings": found, "images": images}))


def digest_of(image: np.ndarray) -> bytes:
    """Return the SHA-256 of an image's size and pixels, (H, W, 3) uint8."""
    found = hashlib.sha256(f"{image.shape[0]} x {image.shape[1]} ".encode())
    found.update(np.ascontiguousarray(image).data)
    return found.digest()


class Embeddings:
    """The embeddings of one view, to read; it travels to other processes.

    Args:
        shards: their files, all there.

    Raises:
        SambenchError: some are missing or damaged, or there are only those of another teacher or other data.
    """

    def __init__(self, shards: Shards) -> None:
        _check(shards)
        self.shards = shards
        begins, places = [], []
        self.shape: tuple[int, ...] = ()
        """C, h, w."""
        for shard in range(len(shards)):
            digests, shape = _heads(shards.path(shard))
            self.shape = self.shape or shape
            begins.append(np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0])
            places.append(np.stack([np.full(len(digests), shard), np.arange(len(digests))], axis=1))
        if not self.shape:
            raise SambenchError(f"{shards.folder}: no image could be read when its embeddings were computed.")
        unsorted = np.concatenate(begins)
        order = np.argsort(unsorted, kind="stable")
        self._begins, self._places = unsorted[order], np.concatenate(places)[order]

    def of(self, digest: bytes, name: str) -> Tensor:
        """Read the embedding of an image by its `digest_of`: (C, h, w) float16.

        Raises:
            SambenchError: there is none of an image with these pixels, or its file is damaged.
        """
        at = int(np.searchsorted(self._begins, np.frombuffer(digest[:8], np.uint64)[0]))
        if at < len(self._begins):
            shard, row = map(int, self._places[at])
            path = self.shards.path(shard)
            try:
                with safe_open(path, "pt") as file:
                    if bytes(file.get_slice("images")[row].tolist()) == digest:
                        return file.get_slice("embeddings")[row]
            except (OSError, SafetensorError) as error:
                raise _damaged(path, error) from None
        raise SambenchError(
            f"{name}: has no embedding in {self.shards.folder}; it was damaged or another when they were "
            "computed. Remove that folder, and run 'sambench train embed' again."
        )


def _heads(path: Path) -> tuple[np.ndarray, tuple[int, ...]]:
    """Read of a shard whose embeddings it has, (n, 32) uint8, and their shape; none where it has none."""
    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor("images").reshape(-1, 32).numpy(), tuple(
                file.get_slice("embeddings").get_shape()[1:]
            )
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> SambenchError:
    return SambenchError(
        f"{path}: damaged or gone ({error}). Remove it, and run 'sambench train embed' again: it computes "
        "what is missing."
    )


def _check(shards: Shards) -> None:
    """See that all files are there, and say what there is in their place."""
    if missing := shards.missing():
        if (shards.folder / INDEX).exists():
            raise SambenchError(
                f"{shards.folder}: {len(missing)} of {len(shards)} files of embeddings are missing. "
                "Run 'sambench train embed' with the same configuration: it computes them."
            )
        raise SambenchError(
            f"{shards.root}: there are no embeddings of this teacher, data and view{_instead(shards)}. Run "
            "'sambench train embed' with the same configuration, or leave embeddings out."
        )


def _instead(shards: Shards) -> str:
    """Say how the nearest of what there is differs."""
    found = []
    for file in sorted(shards.root.glob(f"*/{INDEX}")):
        about = json.loads(file.read_bytes())
        found.append(
            [(name, about.get(name), one) for name, one in shards.key.items() if about.get(name) != one]
        )
    if not found:
        return ""
    nearest = min(found, key=len)
    words = [f"{name} is {json.dumps(there)}, not {json.dumps(asked)}" for name, there, asked in nearest]
    return f"; of those there, {' and '.join(words)}"
