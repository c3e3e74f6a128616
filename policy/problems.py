"""Collecting everything that is wrong with a document, so that its author hears all of it at once.

A problem is (key path, message, hint). Readers add problems and go on with a harmless value; whoever owns the
document calls `raise_if_any` before the value is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from policy.errors import ConfigurationError

Problem = tuple[str, str, str]


class Problems:
    """Lives while one document is read. `warnings` do not stop the document from being used."""

    __slots__ = ("found", "warnings")

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, key: str, message: str, hint: str = "") -> None:
        """Note an error at a key path such as `tenants.acme.target`."""
        self.found.append((key, message, hint))

    def warn(self, key: str, message: str, hint: str = "") -> None:
        """Note something that is allowed but probably not meant."""
        self.warnings.append((key, message, hint))

    def unknown_keys(self, path: str, given: Iterable[object], known: Collection[str]) -> None:
        """Note every given key that is not known, with the nearest known one as the hint."""
        for key in given:
            if key not in known:
                self.add(join_key(path, str(key)), "unknown key", did_you_mean(str(key), known))

    def raise_if_any(self) -> None:
        """Raise `ConfigurationError` with all problems found so far."""
        if self.found:
            raise ConfigurationError(tuple(self.found))


def join_key(path: str, key: str) -> str:
    """`a.b` and `c` give `a.b.c`; a key that is not a bare word is quoted, as in TOML."""
    bare = key.replace("-", "_")
    part = key if bare.isascii() and bare.replace("_", "a").isalnum() else '"' + key.replace('"', '\\"') + '"'
    return f"{path}.{part}" if path else part


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A hint: the known word that looks most like this one, else the list of known ones."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return "Known: " + ", ".join(sorted(known)) + "." if known else ""
