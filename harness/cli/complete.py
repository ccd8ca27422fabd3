"""What the Tab key offers for names. Nothing heavy is imported: it must answer at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Complete = Callable[[str], list[str]]

EVALUATORS = ("hotcoco", "pycocotools", "lvis")
SCOPES = ("all", "E", "D1", "D16", "D64", "E2E", "APP")
MODES = ("pipelined", "serial", "compute")
PRESETS = ("paper", "quick")
"""As the modules say that read them, which import much; a test compares."""


def one(names: Callable[[], Iterable[str]]) -> Complete:
    """Return what completes a single name."""

    def complete(incomplete: str) -> list[str]:
        return _matching(names, incomplete)

    return complete


def several(names: Callable[[], Iterable[str]]) -> Complete:
    """Return what completes names with commas between them: the last one, by those not yet there."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [f"{before}{comma}{name}" for name in _matching(names, last) if name not in taken]

    return complete


def _matching(names: Callable[[], Iterable[str]], begun: str) -> list[str]:
    """Return the names that begin so; behind the + of a model of two parts, its second part does."""
    first, plus, last = begun.rpartition("+")
    return [f"{first}{plus}{name}" for name in names() if name.startswith(last)]


def models() -> Iterable[str]:
    """Return the models."""
    from sambench.adapters.models import PHRASE_DETECTORS
    from sambench.adapters.registry import known

    return [*known(), *(f"{detector}+" for detector in PHRASE_DETECTORS)]


def models_with_weights() -> Iterable[str]:
    """Return the models whose weights are fetched."""
    from sambench.adapters.weights.upstream import upstreams

    return upstreams()


def suites() -> Iterable[str]:
    """Return the suites."""
    from sambench.suites.registry import SUITES

    return SUITES


def datasets() -> Iterable[str]:
    """Return the data sets that have names."""
    from sambench.suites.data.named import known

    return known()


def detectors() -> Iterable[str]:
    """Return the detectors."""
    from sambench.adapters.detectors.registry import DETECTORS

    return DETECTORS


def engines() -> Iterable[str]:
    """Return the engines."""
    from sambench.adapters.engines import ENGINES

    return ENGINES


def precisions() -> Iterable[str]:
    """Return the precisions."""
    from sambench.adapters.engines import PRECISIONS

    return PRECISIONS


def protocols() -> Iterable[str]:
    """Return the protocols' presets."""
    from sambench.suites.protocol import PRESETS as PROTOCOLS

    return PROTOCOLS


def published(key: str) -> Callable[[], Iterable[str]]:
    """Return a function that gives the models, suites, data sets or sources with published numbers."""

    def names() -> Iterable[str]:
        from sambench.reports.literature import claims

        found = {getattr(claim, key) for claim in claims()}
        return sorted((found | {name.partition("/")[0] for name in found}) - {""})

    return names


def given(*names: str) -> Callable[[], Iterable[str]]:
    """Return a function that gives these names."""
    return lambda: names
