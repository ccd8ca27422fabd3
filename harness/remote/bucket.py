"""A place in an object store, by fsspec: names to bytes, and errors that a user can act on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec

from sambench.adapters.extras import MissingExtraError, missing
from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import redacted

_PRINTS = ("ETag", "etag", "md5Hash", "content_md5", "generation")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


class StoreError(SambenchError):
    """A store does not answer, or refuses."""


@dataclass(frozen=True)
class There:
    """A file in a store.

    Attributes:
        size: in bytes.
        print: changes with its content, as far as the store says; ``None`` where it says nothing.
        changed: seconds of `time.time`, by the store's clock; ``None`` where it does not say.
    """

    size: int
    print: str | None
    changed: float | None


class Bucket:
    """All under one address.

    Attributes:
        url: the address.

    Raises:
        SambenchError: a package is missing, or it is no address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme = url.partition("://")[0]
        options: dict[str, Any] = {"auto_mkdir": True} if scheme in ("file", "local") else {}
        try:
            # One of its own: those that fsspec keeps were made with the environment of before.
            self._fs, self._root = fsspec.url_to_fs(url, skip_instance_cache=True, **options)
        except ImportError as error:
            raise _missing(self, scheme, error) from None
        except Exception as error:
            raise SambenchError(f"{self}: no address of a store ({_said(error)}).") from None

    def __str__(self) -> str:
        return redacted(self.url)

    def list(self) -> dict[str, There]:
        """Return what is there, by name."""
        with self._asking("listed"):
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, detail=True)
        return {path[len(self._root) + 1 :]: _there(info) for path, info in found.items()}

    def read(self, name: str) -> bytes | None:
        """Return a file's content; ``None`` where there is no such file."""
        with self._asking("read"):
            try:
                content: bytes = self._fs.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return content

    def put(self, name: str, file: Path) -> None:
        """Write a file, or write it anew."""
        with self._asking("written"):
            self._fs.put_file(str(file), self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file of these bytes, or write it anew."""
        with self._asking("written"):
            self._fs.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; tell whether this did."""
        with self._asking("written"):
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            except (TypeError, ValueError, NotImplementedError):  # it has no such mode
                self._fs.invalidate_cache()
                if self._fs.exists(self._path(name)):
                    return False
                self._fs.pipe_file(self._path(name), content)
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:  # what some stores' libraries say of a file that is there
                self._fs.invalidate_cache()
                if not self._fs.exists(self._path(name)):
                    raise
                return False
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._asking("removed"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn whatever a store's library raises into one kind of error."""
        try:
            yield
        except SambenchError:
            raise
        except Exception as error:
            raise StoreError(f"{self}: cannot be {what} ({_said(error)}). {_remedy(error)}") from error


def _there(info: dict[str, Any]) -> There:
    prints = next((str(info[name]) for name in _PRINTS if info.get(name)), None)
    at = next((info[name] for name in _TIMES if info.get(name)), None)
    changed = (
        at.timestamp() if isinstance(at, datetime) else float(at) if isinstance(at, int | float) else None
    )
    return There(int(info.get("size") or 0), prints or (None if changed is None else str(changed)), changed)


def _missing(bucket: Bucket, scheme: str, error: ImportError) -> SambenchError:
    if scheme in ("s3", "s3a"):
        return missing(f"{bucket}", error if isinstance(error, ModuleNotFoundError) else "s3fs", "s3")
    return MissingExtraError(f"{bucket}: {_said(error)}; pip install it beside sambench.")


def _said(error: Exception) -> str:
    return redacted(" ".join(str(error).split()))[:300] or type(error).__name__


def _remedy(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "Make the bucket, or mend its name."
    if isinstance(error, PermissionError) or "redential" in type(error).__name__ + str(error):
        return "Give credentials that may list, read, write and delete there (docs/clusters.md)."
    return "Does the store answer? The same command goes on where it was."
