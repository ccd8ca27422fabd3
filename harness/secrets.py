"""Keeping passwords and tokens out of what is written down: results, reports, trackers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"
SHORTEST = 6
"""Letters of a value of the environment below which it may be in a text by chance."""

_WORDS = (
    r"(?:token(?!i[sz]|s\b)|secret|password|passwd|pwd|credential|signature"
    r"|api[_-]?key|access[_-]?key|private[_-]?key)"
)
_NAMES = re.compile(rf"{_WORDS}|(?:^|_)(?:key|auth|sig)$", re.IGNORECASE)
"""Names whose values are secrets."""
WORKING_FOLDERS = ("PWD", "OLDPWD")
"""Variables that are named like passwords, and stand in every path."""

_NAMED = rf"(?<![\w.-])[\w.-]*{_WORDS}[\w.-]{{0,60}}"
_FLAG = rf"[\w-]*{_WORDS}[\w-]{{0,60}}"
_VALUE = rf"""(?!{re.escape(HIDDEN)})(?:'[^']*'|"[^"]*"|[^&\s'"#]+)"""
_PATTERNS = (
    # scheme://user:password@host, or a token alone before the host
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^/\s'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # ?token=..., &X-Amz-Signature=..., --password=..., API_KEY='...'
    (re.compile(rf"({_NAMED}\s*=\s*){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"([?&](?:key|sig|auth)=)[^&\s'\"#]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # {'token': '...'}, {"api_key": "..."}
    (re.compile(rf"""((['"]){_NAMED}\2\s*:\s*)(?:'[^']*'|"[^"]*")""", re.IGNORECASE), rf"\1{HIDDEN}"),
    # --token VALUE
    (re.compile(rf"((?<![\w-])--{_FLAG}\s+)(?!-){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    # Authorization: Bearer ...; what follows looks like no word of a language
    (re.compile(r"\b((?i:Bearer|Basic)\s+)(?=\S*(?:\d|[a-z][A-Z]|=))[\w.~+/=-]{8,}"), rf"\1{HIDDEN}"),
)
_SIGNS = re.compile(rf"{_WORDS}|://|[?&]|bearer|basic", re.IGNORECASE)
"""Without one of these no pattern is in a text."""


def redacted(text: str) -> str:
    """Return a text without the secrets of URLs, of flags, and of this process's environment.

    A variable of the environment is a secret if its name says so (``..._TOKEN``, ``..._PASSWORD``,
    ``..._SECRET``, ``..._KEY``); of a URL, what stands before its host, and values of such names behind it.
    """
    return _redacted(text, _of_environment())


def without_secrets(value: Any) -> Any:
    """Return what JSON can hold with every text redacted, and values of secret names hidden."""
    return _without(value, _of_environment())


def _of_environment() -> list[str]:
    named = {name: value for name, value in os.environ.items() if name not in WORKING_FOLDERS}
    found = {value for name, value in named.items() if len(value) >= SHORTEST and _NAMES.search(name)}
    return sorted(found, key=len, reverse=True)


def _redacted(text: str, known: Sequence[str]) -> str:
    for value in known:
        text = text.replace(value, HIDDEN)
    if _SIGNS.search(text):
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
    return text


def _without(value: Any, known: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _redacted(value, known)
    if isinstance(value, Mapping):
        return {key: _of_name(key, one, known) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without(one, known) for one in value]
    return value


def _of_name(name: Any, value: Any, known: Sequence[str]) -> Any:
    secret = isinstance(value, str | list | tuple) and re.search(_WORDS, str(name), re.IGNORECASE)
    return _hidden(value) if secret else _without(value, known)


def _hidden(value: Any) -> Any:
    """Hide all texts of a value; numbers are none, but counts."""
    if isinstance(value, list | tuple):
        return [_hidden(one) for one in value]
    return HIDDEN if isinstance(value, str) and value else value
