"""The pages as one reads them who types: commands in their order, code, files that they say to save."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
INDENT = "    "


@dataclass(frozen=True)
class Block:
    """Some lines of a page that are not prose."""

    page: str
    """Its path in the repository."""
    line: int
    """Of the first line, from 1."""
    language: str
    """As fenced; ``commands`` where it is indented."""
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a page, its lines joined."""

    page: str
    line: int
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def words(self) -> list[str]:
        """As a shell cuts them, without the comment."""
        return shlex.split(self.text, comments=True)

    @property
    def arguments(self) -> list[str] | None:
        """What ``sambench`` is given, also behind torchrun, srun or docker; ``None``: it is not called."""
        words = self.words
        if "sambench.harness" in words:
            return words[words.index("sambench.harness") + 1 :]
        starts = words[0] in ("sambench", "srun") or words[:2] == ["docker", "run"]
        return words[words.index("sambench") + 1 :] if starts and "sambench" in words else None


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, fenced and indented, in order."""
    return list(_blocks(page.relative_to(ROOT).as_posix(), page.read_text().split("\n")))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    start, language = 0, ""
    for i, line in enumerate([*lines, ""]):
        fence = re.match(r"```(\w*)", line)
        if language not in ("", "commands"):
            if fence:
                yield Block(page, start + 1, language, "\n".join(lines[start:i]) + "\n")
                language = ""
        elif line.startswith(INDENT) and (language or not lines[i - 1].strip()):
            start, language = (start, language) if language else (i, "commands")
        else:
            if language:
                yield Block(page, start + 1, language, "\n".join(x[4:] for x in lines[start:i]) + "\n")
            start, language = i + 1, (fence[1] or "text") if fence else ""
    assert not language, f"{page}:{start}: a fence without an end"


def commands_of(block: Block) -> list[Command]:
    """The commands of a block, continued lines joined; none of a block that is no commands."""
    if block.language not in ("commands", "bash"):
        return []
    found: list[Command] = []
    open_ = False
    for i, line in enumerate(block.text.rstrip("\n").split("\n")):
        text = line.strip().removesuffix("\\").strip()
        if open_:
            found[-1] = Command(block.page, found[-1].line, f"{found[-1].text} {text}")
        elif text and not text.startswith("#"):
            found.append(Command(block.page, block.line + i, text))
        open_ = line.endswith("\\")
    return found


def file_of(block: Block) -> tuple[str, str] | None:
    """The file that a block is to be saved as, named in its first line, and what is in it."""
    named = re.match(r"# ([\w.-]+\.(?:yaml|py))\n", block.text)
    return (named[1], block.text) if named else None


def inline(page: Path) -> list[str]:
    """Code within the prose of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
