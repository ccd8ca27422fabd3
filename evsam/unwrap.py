"""Finding a model's state dict in a checkpoint, under whatever name and prefix a training left it.

A wrapper or a prefix is taken off only where all of it fits: every key of the model is there, none is too
many, and every shape is right. So nothing is guessed, and nothing is left at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sambench.evsam.errors import SambenchError

Shapes = Mapping[str, tuple[int, ...]]
Spare = Callable[[str], bool]

DEEPEST = 3
"""Mappings within mappings that are looked into, such as ``{"model": {"ema": {"module": ...}}}``."""
NAMED = ("state_dict", "model_state_dict", "model", "network", "net", "params", "module", "weights")
"""Names of the trained parameters, the surest first; others come after them."""
AVERAGED = re.compile(r"(^|[^a-z])ema([^a-z]|$)|(?<!un)(?<!non)averaged?([^a-z]|$)|shadow", re.IGNORECASE)
"""Names of a running average of them. The trainers that keep one evaluate it: timm, ultralytics, BasicSR,
torchvision's references, efficientvit, and ours."""
UNAVERAGED = re.compile(r"(^|[^a-z])(no|non|not|un|without|wo|raw|pre|before)([^a-z]|$)", re.IGNORECASE)
"""Names that say the opposite, as ``non_ema`` does."""
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch puts in the middle of names: of ``torch.compile``, FSDP and activation checkpointing."""
COUNTERS = ("n_averaged",)
"""Of ``torch.optim.swa_utils.AveragedModel``, beside its parameters."""


@dataclass(frozen=True)
class Found:
    """A state dict that fits."""

    state: Mapping[str, Tensor]
    taken: str | None
    """How it lay in the checkpoint; ``None`` where it is the checkpoint."""


@dataclass(frozen=True)
class _Candidate:
    path: tuple[str, ...]
    """Names of the mappings that it lies in."""
    off: tuple[str, ...]
    """What was taken off its keys."""
    state: Mapping[str, Any]

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What is taken before what: an average, then by name, then what lies less deep."""
        last = self.path[-1] if self.path else ""
        named = NAMED.index(last) if last in NAMED else len(NAMED)
        return not _is_average(self.path), named, len(self.path)


def none_spare(key: str) -> bool:
    """Say of every key that is not the model's that it is one too many."""
    del key
    return False


def find(
    content: Mapping[str, Any], wanted: Shapes, *, spare: Spare = none_spare, whole: bool = True
) -> Found | None:
    """Find the state dict of a model.

    Args:
        content: of the checkpoint.
        wanted: shapes of the model's own state dict.
        spare: tells of a key whether it may be there beside it, and is left out.
        whole: whether it must have no other keys.

    Returns:
        ``None`` where nothing in it fits.

    Raises:
        SambenchError: two that differ fit, and none of them comes before the other; or what fits has values
            that are not stored one by one, or are no real numbers.
    """
    fitting = [c for c in _candidates(content, wanted) if _fits(c.state, wanted, spare, whole)]
    if not fitting:
        return None
    first, *others = sorted(fitting, key=lambda c: c.rank)
    states = [{key: c.state[key] for key in wanted} for c in (first, *others)]
    refuse_unreal(states[0])
    for other, state in zip(others, states[1:], strict=True):
        if other.rank == first.rank and not _equal(states[0], state):
            raise SambenchError(
                f"it holds two of this model, {_shown(first)} and {_shown(other)}. Save the one you mean."
            )
    said = _describe(first, others, wanted)
    if first.rank[0] and (unfit := list(_averages(content))):
        said.append(f"{', '.join(unfit)}, by name an average, does not fit this model")
    return Found(states[0], "; ".join(said) or None)


def nearest(content: Mapping[str, Any], wanted: Shapes) -> Mapping[str, Any]:
    """Return what in a checkpoint shares most keys with a model, or is most like a state dict."""

    def likeness(one: _Candidate) -> tuple[int, int]:
        shared = sum(key in wanted for key in one.state)
        return shared, sum(isinstance(value, Tensor) for value in one.state.values())

    return max(_candidates(content, wanted), key=likeness).state


def refuse_unreal(state: Mapping[str, Any]) -> None:
    """Refuse tensors that no parameter can be filled from as they are.

    Raises:
        SambenchError: one is sparse, without values, or complex; the message names its key.
    """
    for key, value in state.items():
        if isinstance(value, Tensor) and (what := _unreal(value)):
            raise SambenchError(f"{key} is {what}. Save the state dict with dense, real tensors.")


def _unreal(value: Tensor) -> str | None:
    if value.is_meta:
        return "on the device 'meta': a shape without values"
    if value.layout != torch.strided:
        return f"stored as {str(value.layout).removeprefix('torch.')}, not dense"
    if value.is_complex():
        return f"{str(value.dtype).removeprefix('torch.')}, no real numbers"
    return None


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return a tensor's shape; ``None`` of anything else."""
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _candidates(content: Mapping[str, Any], wanted: Shapes) -> Iterator[_Candidate]:
    for path, state in _mappings(content, ()):
        bare = {k: v for k, v in state.items() if isinstance(k, str)}
        for off, cleaned in _without_wrappers(bare, wanted):
            kept = {k: v for k, v in cleaned.items() if k not in COUNTERS}
            for prefix in _prefixes(kept):
                renamed = {key[len(prefix) :]: value for key, value in kept.items()}
                found = renamed if prefix or off else bare
                yield _Candidate(path, (*off, *([prefix] if prefix else [])), found)


def _mappings(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, content
    if len(path) < DEEPEST:
        for name, value in content.items():
            if isinstance(value, Mapping):
                yield from _mappings(value, (*path, str(name)))


def _without_wrappers(
    state: Mapping[str, Any], wanted: Shapes
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield a state as it is, and without the names of wrappers in its keys where it has such."""
    yield (), state
    off = tuple(w for w in WRAPPERS if any(w in key for key in state) and not any(w in key for key in wanted))
    if off:
        pattern = re.compile("|".join(map(re.escape, off)))
        cleaned = {pattern.sub("", key): value for key, value in state.items()}
        if len(cleaned) == len(state):
            yield off, cleaned


def _prefixes(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what all keys begin with, up to each dot: nothing first."""
    yield ""
    if not state:
        return
    least, most = min(state), max(state)
    common = next(
        (i for i, pair in enumerate(zip(least, most, strict=False)) if pair[0] != pair[1]), len(least)
    )
    yield from (least[: dot.end()] for dot in re.finditer(r"\.", least[:common]))


def _fits(state: Mapping[str, Any], wanted: Shapes, spare: Spare, whole: bool) -> bool:
    if whole and not all(map(spare, state.keys() - wanted.keys())):
        return False
    return all(shape_of(state.get(key)) == shape for key, shape in wanted.items())


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(a[key] is b[key] or _same(a[key], b[key]) for key in a)


def _same(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or _unreal(a) or _unreal(b):
        return False
    if a.is_floating_point():  # torch compares no float8
        a, b = a.double(), b.double()
    return torch.equal(a, b)


def _is_average(path: tuple[str, ...]) -> bool:
    """Tell by the innermost name that says anything about it."""
    for name in reversed(path):
        if UNAVERAGED.search(name):
            return False
        if AVERAGED.search(name):
            return True
    return False


def _averages(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the outermost names of averages, whatever form they have, as long as tensors are in them."""
    seen: list[tuple[str, ...]] = []
    for path, mapping in _mappings(content, ()):
        for name, value in mapping.items():
            inner = (*path, str(name))
            within = any(inner[: len(outer)] == outer for outer in seen)
            if _is_average(inner) and not within and _holds_tensors(value, DEEPEST):
                seen.append(inner)
                yield repr(".".join(inner))


def _holds_tensors(value: Any, deep: int) -> bool:
    """Tell whether tensors lie in a mapping or list: a lone one is as likely an averaged loss."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inside = list(value.values() if isinstance(value, Mapping) else value)
    return any(isinstance(one, Tensor) or (deep > 0 and _holds_tensors(one, deep - 1)) for one in inside)


def _describe(taken: _Candidate, others: list[_Candidate], wanted: Shapes) -> list[str]:
    said = []
    if taken.path:
        beside = [_shown(other) for other in others]
        average = " (the average, as its training evaluates it)" if beside and not taken.rank[0] else ""
        before = f", not {', '.join(beside)}{average}" if beside else ""
        said.append(f"{_shown(taken)}{before}")
    if taken.off:
        said.append("without " + " ".join(repr(off) for off in taken.off))
    types = {taken.state[key].dtype for key in wanted if taken.state[key].is_floating_point()}
    if unlike := sorted(str(one).removeprefix("torch.") for one in types - {torch.float32}):
        said.append(f"{' and '.join(unlike)} as float32")
    return said


def _shown(one: _Candidate) -> str:
    return repr(".".join(one.path)) if one.path else "the file itself"
