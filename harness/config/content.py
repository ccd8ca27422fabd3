"""What a file and flags say together, and how single values are read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.adapters.models import parts_of
from sambench.adapters.plugins import parse_adapter
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.config import datasets
from sambench.harness.config.keys import BY_SPELLING, find, split
from sambench.suites.files import expanded, read_mapping

SEED = 0


@dataclass(frozen=True)
class Content:
    """Values by the keys' own names (`keys.Key.name`), as YAML gives them."""

    values: dict[str, Any]
    where: str
    """The file, or ``command line``, for messages."""
    unread: tuple[str, ...] = ()
    """Keys of the file that are another command's."""
    flags: frozenset[str] = frozenset()
    """Keys whose values are the command line's."""
    file: Path | None = None

    def has(self, key: str) -> bool:
        """Tell whether a key has a value."""
        return self.values.get(key) is not None

    def wrong(self, problem: str, key: str = "") -> SambenchError:
        """Return the error of a problem, which names where the key's value comes from."""
        return SambenchError(f"{'command line' if key in self.flags else self.where}: {problem}")

    def listed(self, key: str) -> list[Any]:
        """Read one or several values; text is cut at commas. Empty where none is given."""
        value = self.values.get(key)
        if isinstance(value, str):
            value = split(value)
        if value is None or value == []:
            return []
        if isinstance(value, Mapping) or not isinstance(value, Sequence):
            return [value]
        return list(value)

    def names(self, key: str, known: Sequence[str] = (), default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Read names, each once, and among those known where there are such."""
        given = self.listed(key)
        if any(not isinstance(value, str | int | float) for value in given):
            raise self.wrong(
                f"{BY_SPELLING[key].several or key} must be names, not {self.values[key]!r}.", key
            )
        values = tuple(map(str, given)) or default
        for value in values:
            if known and value not in known:
                near = did_you_mean(value, known)
                raise self.wrong(f"no {key} {value!r}; there is {', '.join(known)}.{near}", key)
        if len(set(values)) < len(values):
            raise self.wrong(f"{BY_SPELLING[key].several or key} names one twice: {', '.join(values)}.", key)
        return values

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        """Read a single name."""
        found = self.names(key, known, (default,))
        if len(found) > 1:
            raise self.wrong(f"{key}: there can be one here, not {', '.join(found)}.", key)
        return found[0]

    def wholes(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Read whole numbers from 1, ascending and each once."""
        given = [int(one) if str(one).isdecimal() else one for one in self.listed(key)]
        for one in given:
            if isinstance(one, bool) or not isinstance(one, int) or one < 1:
                raise self.wrong(f"{key} must be a whole number from 1, not {one!r}.", key)
        return tuple(sorted(set(given))) or default

    def whole(self, key: str) -> int | None:
        """Read a single whole number from 1, or ``None``."""
        found = self.wholes(key)
        if len(found) > 1:
            raise self.wrong(f"{key}: there can be one here, not {', '.join(map(str, found))}.", key)
        return found[0] if found else None

    def number(self, key: str, default: float, *, least: int = 0) -> float:
        """Read a number that is whole where its default is."""
        value = self.values[key] if self.has(key) else default
        whole = isinstance(default, int)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        right = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
        if not right or (whole and int(value) != value):
            what = "a whole number" if whole else "a number"
            raise self.wrong(f"{key} must be {what} from {least}, not {value!r}.", key)
        return int(value) if whole else float(value)

    def switch(self, key: str) -> bool:
        """Read true or false."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} is true or false, not {value!r}.", key)
        return value

    def path(self, key: str) -> Path:
        """Read a path; ``${VAR}`` and ``~`` are expanded."""
        return expanded(self.values[key], key, self.where)


def read(path: Path | None, flags: Mapping[str, Any], command: str) -> Content:
    """Read a file and put flags over it; a flag that is set wins.

    A part of the file's one data set can be changed by flags, and weights stay with their models.

    Args:
        path: the file, or ``None``.
        flags: parameters of the command line to values, of which those that are keys count; ``None``, or
            an empty list, where one is not set.
        command: whose keys are read.

    Raises:
        SambenchError: the file cannot be read, has an unknown key, or one in both spellings.
    """
    where = str(path) if path is not None else "command line"
    file = {}
    if path is not None:
        file = read_mapping(path, "configuration file", "a configuration", "docs/configuration.md")
    given = {key: value for key, value in flags.items() if key in BY_SPELLING and value not in (None, [], ())}
    below, above = _by_key(file, where, command), _by_key(given, "command line", command)
    values = {key: value for key, value in (below | above).items() if command in BY_SPELLING[key].commands}
    if command in BY_SPELLING["dataset"].commands and (joined := datasets.join(below, above, where)):
        values["dataset"] = joined
    if "weights" in below and "weights" in values:
        values["weights"] = _weights_over(below, above, where)
    unread = tuple(spelling for spelling in file if command not in BY_SPELLING[spelling].commands)
    return Content(values, where, unread, frozenset(above), path)


def _by_key(given: Mapping[str, Any], where: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for spelling, value in given.items():
        key = find(str(spelling), where, command)
        if value is None:
            raise SambenchError(f"{where}: {spelling} has no value. Give it one, or leave it out.")
        if key.name in found:
            raise SambenchError(f"{where}: {key.name} and {key.several} are one key. Keep one of them.")
        found[key.name] = value
    return found


def _weights_over(below: dict[str, Any], above: dict[str, Any], where: str) -> dict[str, str]:
    """Put the flags' weights over the file's; of these, only those of models that flags still name."""
    kept = weights_by_model(below["weights"], where)
    if "model" in above:
        both = Content(below | above, where)
        models = both.listed("model")
        named = {*with_parts(models), *(parse_adapter(spec).name for spec in both.listed("adapter"))}
        kept = {model: path for model, path in kept.items() if model in named}
    return kept | weights_by_model(above.get("weights", {}), "command line")


def weights_of(models: Sequence[str], given: Any, where: str) -> dict[str, str]:
    """Read the weights of some models, or of parts of theirs (see `weights_by_model`).

    Raises:
        SambenchError: they are of another model, or of nobody knows which.
    """
    found = weights_by_model(given, where)
    if "" in found:
        if len(models) > 1:
            raise SambenchError(f"{where}: weights {found['']} of which model? Say NAME=PATH or NAME=random.")
        found = {models[0] if model == "" else model: path for model, path in found.items()}
    named = with_parts(models)
    for model in found:
        if model not in named:
            near = did_you_mean(model, named)
            raise SambenchError(f"{where}: weights for {model!r}, which is not among the models.{near}")
    return found


def with_parts(models: Sequence[str]) -> tuple[str, ...]:
    """Return models, and the parts of those of several."""
    return tuple(dict.fromkeys(name for model in models for name in (model, *parts_of(model))))


def weights_by_model(given: Any, where: str) -> dict[str, str]:
    """Read weights: a mapping of models to files or ``random``, or ``[NAME=]PATH`` once or more.

    Weights without a name have the name ``""``; they are those of the only model.

    Raises:
        SambenchError: they are neither.
    """
    if isinstance(given, Mapping):
        for model, path in given.items():
            if not isinstance(path, str | Path) or not str(path):
                raise SambenchError(f"{where}: weights of {model} are a path or random, not {path!r}.")
        return {str(model): str(path) for model, path in given.items()}
    if not isinstance(given, str | Sequence):
        raise SambenchError(f"{where}: weights map a model to a file or to random, not {given!r}.")
    pairs = {}
    for one in [given] if isinstance(given, str) else given:
        model, equals, path = str(one).partition("=")
        if equals and not (model and path):
            raise SambenchError(f"{where}: weights {one}: say NAME=PATH or NAME=random.")
        pairs[model if equals else ""] = path if equals else model
    return pairs
