"""The code that decides a record, or a score, as one digest.

What cannot move a number is no part of it: comments, docstrings, layout, and the wording of errors.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURING = ("evsam", "adapters", "suites", "harness")
"""The packages whose code decides a number, as far as a suite, an adapter or the worker imports it."""

TABLES = ("sambench.adapters.models", "sambench.suites.registry")
"""Modules that only say which others there are."""

SCORING = "sambench.suites.scoring"
"""The package that makes numbers of records; what of a suite does so beside it are these methods."""
SCORING_METHODS = ("score", "score_all", "scored_objects", "export", "about", "check")


@cache
def code_digest(*modules: str, scoring: bool = False) -> str:
    """SHA-256 over the sources of some modules and of all that they import from the measuring packages.

    A record is reused by the code that made it alone, and another model's code does not matter to it.

    Args:
        modules: names of modules, or paths of ``.py`` files.
        scoring: whether what makes numbers of records counts too; records do not depend on it.
    """
    digest = hashlib.sha256()
    found: set[Path] = set()
    todo = [_source(module, scoring) or _outside(module) for module in modules]
    while todo:
        file = todo.pop()
        if file is not None and file not in found:
            found.add(file)
            todo += [_source(name, scoring) or _beside(name, file) for name in _imports(file)]
    for file in sorted(found):
        name = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
        digest.update(f"{name}\0{_meaning(file, scoring)}\0".encode())
    return digest.hexdigest()


def _meaning(file: Path, scoring: bool) -> str:
    """What a file does, without what decides no number."""
    drop = () if scoring or not file.is_relative_to(ROOT / "suites") else SCORING_METHODS
    return ast.dump(_Plain(drop).visit(ast.parse(file.read_bytes())))


class _Plain(ast.NodeTransformer):
    """Leaves out docstrings, the texts of errors, and methods of some names."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        self._methods = methods

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop strings that stand for themselves."""
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep of an error its type alone."""
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Drop methods."""
        node.body = [part for part in node.body if getattr(part, "name", None) not in self._methods]
        return self.generic_visit(node)


def _source(module: str, scoring: bool) -> Path | None:
    """The file of a measuring module or package."""
    namespace, *parts = module.split(".")
    if namespace != "sambench" or not parts or parts[0] not in MEASURING or module in TABLES:
        return None
    if not scoring and f"{module}.".startswith(f"{SCORING}."):
        return None
    package = ROOT.joinpath(*parts)
    files = (package.with_suffix(".py"), package / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _outside(module: str) -> Path | None:
    """The file of a model from outside: a path, or a module of an installed package."""
    if module.endswith(".py"):
        return Path(module)
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


def _beside(module: str, importer: Path) -> Path | None:
    """The file of a module that a model from outside imports from its own folder or package."""
    if importer.is_relative_to(ROOT) and importer.relative_to(ROOT).parts[0] in MEASURING:
        return None
    parts = module.split(".")
    for folder in importer.parents[: len(parts) + 1]:
        tails = [parts]
        if folder.name in parts[:-1]:  # the folder is the package itself
            tails.append(parts[parts.index(folder.name) + 1 :])
        for tail in tails:
            for file in (folder.joinpath(*tail).with_suffix(".py"), folder.joinpath(*tail, "__init__.py")):
                if file.is_file():
                    return file
    return None


def _imports(file: Path) -> Iterator[str]:
    """All that a file imports, wherever in it; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module
            yield from (".".join(filter(None, (node.module, alias.name))) for alias in node.names)
