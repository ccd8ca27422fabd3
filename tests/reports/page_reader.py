"""Reads a page as a browser would, as far as tests ask: tags, text, tables and the data inside."""

from __future__ import annotations

import base64
import html.parser
import json
import zlib
from typing import Any

VOID = {"meta", "link", "br", "hr", "img", "input", "image", "use", "path", "rect", "circle"}


class Page(html.parser.HTMLParser):
    """A page; its tags must be balanced.

    Attributes:
        tags: names, in order.
        attrs: of all tags.
        text: all of it, scripts and style left out.
        tables: by ``data-table``, or by title where there is none: a list of rows, each a list of texts.
        scripts: by id, or by ``""`` where there is none.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attrs: list[tuple[str, str | None]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: dict[str, str] = {}
        self._table: list[list[str]] = []
        self._script = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attrs += attrs
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(found.get("data-table") or f"plain {len(self.tables)}", [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag == "script":
            self._script = found.get("id") or ""
            self.scripts[self._script] = ""
        elif tag in ("small", "span") and "td" in self.open:
            self.handle_data(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attrs += attrs

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts[self._script] += data
        elif "style" not in self.open:
            self.text += data
            if "td" in self.open or "th" in self.open:
                self._table[-1][-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """What the page says of itself."""
        found: dict[str, Any] = json.loads(self.scripts["data"])
        return found

    @property
    def packed(self) -> dict[str, Any]:
        """The rest of it, as docs/report.md says to read it."""
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(self.scripts["packed"])))
        return found

    def rows(self, name: str) -> dict[str, list[str]]:
        """Return the rows of one table by the name before them, white space as one space."""
        number = next(n for n, table in enumerate(self.data["tables"]) if table["name"] == name)
        rows = [[" ".join(text.split()) for text in row] for row in self.tables[str(number)]]
        return {row[0]: row[1:] for row in rows}
