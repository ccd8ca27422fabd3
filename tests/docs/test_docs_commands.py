"""Every command of every page runs, in small where it must, or is accounted for; every Python block runs."""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import typer
import yaml
from accounted import CHANGED, CODES, NOT_RUN, STAND_INS, entry
from command import call
from pages import PAGES, ROOT, Block, Command, blocks_of, commands_of, inline

from sambench.adapters import plugins, registry
from sambench.evsam.errors import SambenchError
from sambench.harness.cli.app import app
from sambench.suites.registry import SUITES

COMMANDS = [command for page in PAGES for block in blocks_of(page) for command in commands_of(block)]
PYTHON_ELSEWHERE = {
    "docs/add-a-model.md": ("tests/harness/test_add_a_model.py", 2),
    "docs/add-a-suite.md": ("tests/harness/test_add_a_suite.py", 2),
    "docs/engines.md": ("tests/harness/cli/test_export_cli.py", 1),
    "docs/records.md": ("tests/harness/test_records.py", 3),
}
"""Pages whose Python other tests run and look at, and how many blocks they know of."""

MODELS, SUITE_NAMES = ("--models", "--model"), ("--suites", "--suite")
OF_A_PAGE = {"Colour", "near", "far", "middle"}  # names that a page gives to code of its own

calls = pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.arguments is not None], ids=lambda command: command.where
)


def parsed(arguments: list[str]) -> None:
    """Have the real parser read a command's arguments, down to its last flag; nothing is run."""
    command, context, name = typer.main.get_command(app), None, "sambench"
    rest = list(arguments)
    try:
        while True:
            context = command.make_context(name, rest, parent=context)
            if not hasattr(command, "resolve_command"):
                return
            name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    except typer.Exit:  # of --help and its like
        return


@calls
def test_the_parser_takes_it(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.arguments is not None
    if "--install-completion" not in command.arguments:
        parsed(command.arguments)


def is_model(name: str) -> bool:
    try:
        return bool(registry.entry(name))
    except SambenchError:
        return False


@calls
def test_its_models_suites_and_files_are_there(command: Command) -> None:
    words = command.arguments or []
    for flag, value in itertools.pairwise(words):
        known = is_model if flag in MODELS else SUITES.__contains__ if flag in SUITE_NAMES else None
        if known is not None and "$" not in value:
            unknown = [name for name in value.split(",") if name not in OF_A_PAGE and not known(name)]
            assert not unknown, f"{command.where}: {unknown}"
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), command.where


def options_of(words: list[str]) -> set[str]:
    """The flags of the command that some words begin with."""
    command = typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word) or command
    parameters = command.get_params(command.context_class(command))
    return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}


def test_flags_within_the_prose_are_there() -> None:
    checked = 0
    for page in PAGES:
        for code in inline(page):
            found = re.search(r"\bsambench ((?:[a-z]+ ?)+)", code)
            if not found:
                continue
            known = options_of(found[1].split()) | options_of([])
            flags = re.findall(r"(?<!\S)--[a-z-]+", code)
            assert set(flags) <= known | {"--help"}, f"{page.name}: {code}"
            checked += len(flags)
    assert checked > 10


def test_what_installs_names_targets_and_extras_that_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for command in COMMANDS:
        words = command.words
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.M), command.where
        for names in re.findall(r"sambench\[([\w,]+)\]", command.text):
            assert set(names.split(",")) <= set(extras), command.where


def test_nothing_is_accounted_for_that_no_page_has() -> None:
    texts = [command.text for command in COMMANDS]
    first = {next((p for p in (*NOT_RUN, *CHANGED) if re.match(p, text)), "") for text in texts}
    assert set(NOT_RUN) | set(CHANGED) == first - {""}
    assert all(any(re.match(pattern, text) for text in texts) for pattern in CODES)
    reasons = " ".join([*NOT_RUN.values(), *(reason for _, reason in CHANGED.values())])
    assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/]+(?:\.py)?", reasons))


def test_other_tests_still_run_the_python_that_is_theirs() -> None:
    for page, (test, count) in PYTHON_ELSEWHERE.items():
        blocks = [block for block in blocks_of(ROOT / page) if block.language == "python"]
        assert len(blocks) == count, page
        source = (ROOT / test).read_text()
        assert Path(page).name in source, test
        assert "```python" in source, test


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_settings_are_yaml_and_toml(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.text), dict), block.where
        if block.language == "toml":
            assert tomllib.loads(block.text), block.where


# --- running them ---------------------------------------------------------------------------------------


def first_of(texts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Text to where it stands first, so that what several pages have runs once."""
    found: dict[str, str] = {}
    for text, where in texts:
        found.setdefault(text, where)
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
FIRST = first_of((command.text, command.page) for command in COMMANDS)
FIRST_CODE = first_of((block.text, block.page) for block in BLOCKS if block.language == "python")


def runs(one: Command | Block) -> bool:
    """Whether a command or a block of Python is run here, and on this page."""
    if isinstance(one, Command):
        return FIRST[one.text] == one.page and entry(NOT_RUN, one.text) is None
    return FIRST_CODE.get(one.text) == one.page and one.page not in PYTHON_ELSEWHERE


def steps_of(page: Path) -> list[Command | Block]:
    """What is run of a page, in order."""
    return [one for block in blocks_of(page) for one in (*commands_of(block), block) if runs(one)]


RUNNING = [page for page in PAGES if steps_of(page)]


@pytest.fixture(autouse=True)
def models_of_pages_are_forgotten() -> Iterator[None]:
    yield
    plugins.announced.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.stem)
def test_the_page_runs_from_top_to_bottom(page: Path, folder: Callable[[Path], Path]) -> None:
    folder(page)
    for step in steps_of(page):
        if isinstance(step, Command):
            run(step)
        else:
            exec(compile(step.text, step.where, "exec"), {"__name__": "__main__"})


def run(command: Command) -> None:
    """Run a command as it stands, or with the changes that its entry has."""
    assert command.arguments is not None, f"{command.where}: not accounted for: {command.text}"
    added, _ = entry(CHANGED, command.text) or ([], "")
    words = [os.path.expandvars(word) for word in command.arguments]
    words = [re.sub(r"^cuda(:\d)?$", "cpu", word) for word in words]
    if "--dry-run" not in added and "--explain" not in added and words[0] != "published":
        words = [with_stand_ins(word) for word in words]
    done = call(*words, *added)
    assert done.code == (entry(CODES, command.text) or 0), f"{command.where}: {done.out}{done.err}"


def with_stand_ins(word: str) -> str:
    """Put others in the place of models whose checkpoints are not here, each once."""
    return ",".join(dict.fromkeys(STAND_INS.get(name, name) for name in word.split(",")))
