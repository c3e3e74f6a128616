"""Typed values out of a TOML table. What is wrong becomes a problem with its key path, and a harmless value goes on.

`${NAME}` in any text stands for an environment variable, `${NAME:-other}` for it or, when unset, the other text.
Relative paths are relative to the configuration file. Secrets come from a file, the environment or, with a warning, the
text itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from policy.problems import Problems, did_you_mean, join_key
from policy.units import DURATION_HINT, SIZE_HINT, parse_duration_s, parse_size_bytes

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
MAX_SECRET_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Reading:
    """What all tables of one file share."""

    problems: Problems
    environ: Mapping[str, str]
    base: Path


class Table:
    """One table of the file. Every key that is asked for is a known key; `finish` reports the others."""

    __slots__ = ("_asked", "_values", "path", "reading")

    def __init__(self, reading: Reading, path: str, values: Mapping[str, object]) -> None:
        self.reading = reading
        self.path = path
        self._values = values
        self._asked: set[str] = set()

    def finish(self) -> None:
        self.reading.problems.unknown_keys(self.path, self._values, self._asked)

    def problem(self, key: str, message: str, hint: str = "") -> None:
        self.reading.problems.add(join_key(self.path, key) if key else self.path, message, hint)

    def warn(self, key: str, message: str, hint: str = "") -> None:
        self.reading.problems.warn(join_key(self.path, key) if key else self.path, message, hint)

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._values

    def raw(self, key: str) -> object:
        """The value as TOML has it, None when it is not there."""
        return self._values[key] if self.has(key) else None

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        if not self.has(key):
            if default is None:
                self.problem(key, "is missing", f"Add {key} to [{self.path}]." if self.path else f"Add {key}.")
            return default or ""
        value = self._values[key]
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.problem(key, f"must be text, not {_describe(value)}", f'Write {key} = "…".')
            return default or ""
        return self._expand(key, value)

    def optional_text(self, key: str) -> str | None:
        return self.text(key) or None if self.has(key) else None

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        value = self.text(key, default)
        if value not in choices:
            self.problem(key, f"must be one of {', '.join(choices)}, not {value!r}", did_you_mean(value, choices))
            return default
        return value

    def boolean(self, key: str, default: bool) -> bool:
        value = self._values[key] if self.has(key) else default
        if not isinstance(value, bool):
            self.problem(key, f"must be true or false, not {_describe(value)}", "Without quotes.")
            return default
        return value

    def integer(self, key: str, default: int, least: int = 0, most: int = 2**31 - 1) -> int:
        value = self._values[key] if self.has(key) else default
        if isinstance(value, str) and _VARIABLE.search(value):
            expanded = self._expand(key, value)
            value = int(expanded) if expanded.isascii() and expanded.isdigit() else expanded
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(key, f"must be a whole number, not {_describe(value)}", "Without quotes.")
            return default
        if not least <= value <= most:
            self.problem(key, f"must be from {least} to {most}, not {value}", f"The default is {default}.")
            return default
        return value

    def port(self, key: str, default: int, least: int = 1) -> int:
        return self.integer(key, default, least, 65_535)

    def duration(self, key: str, default: float, least: float = 0.001, most: float = 366 * 86_400.0) -> float:
        """Seconds. `key` ends in `_s`; the name without it is taken, too."""
        return self._measure(key, "_s", default, parse_duration_s, (least, most, DURATION_HINT))

    def size(self, key: str, default: int, least: int, most: int = 1024**3) -> int:
        """Bytes. `key` ends in `_bytes`; the name without it is taken, too."""
        return int(self._measure(key, "_bytes", default, parse_size_bytes, (least, most, SIZE_HINT)))

    def strings(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        value = self._values[key] if self.has(key) else list(default)
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            self.problem(key, f"must be a list of texts, not {_describe(value)}", f'Write {key} = ["a", "b"].')
            return tuple(default)
        return tuple(self._expand(key, item) for item in value)

    def names(self, key: str) -> frozenset[str]:
        """A list of texts that must be there."""
        if not self.has(key):
            self.problem(key, "is missing", f'Add {key} = ["…"]; an empty list is allowed.')
        return frozenset(self.strings(key))

    def file_path(self, key: str, default: Path | None = None) -> Path | None:
        """A path, relative to the configuration file; it need not exist."""
        text = self.optional_text(key)
        if text is not None:
            return self.reading.base / Path(text).expanduser()
        return None if default is None else self.reading.base / default

    def existing_file(self, key: str, default: Path | None = None) -> Path | None:
        """As `file_path`; a file that is not there or cannot be read is a problem, and None."""
        path = self.file_path(key, default)
        if path is None:
            return None
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            hint = f"Looked for {path}; relative paths begin at the configuration file."
            self.problem(key, f"cannot be read: {error.strerror}", hint)
            return None

    def secret(self, key: str) -> str | None:
        """A secret from KEY_file, KEY_env or KEY; None when none of them is there. Its value is in no message."""
        ways = [way for way in (key, f"{key}_file", f"{key}_env") if self.has(way)]
        if len(ways) > 1:
            self.problem(ways[1], f"is given together with {ways[0]}", f"Give one of {', '.join(ways)}.")
        if not ways:
            return None
        read = {key: self._secret_text, f"{key}_file": self._secret_file, f"{key}_env": self._secret_variable}
        value = read[ways[0]](ways[0])
        if value is not None and (not value or "\0" in value):
            self.problem(ways[0], "the secret is empty or holds a NUL", "Check the file or variable.")
        return value

    def table(self, key: str) -> Table:
        """A sub-table, empty when it is not there."""
        value = self._values[key] if self.has(key) else {}
        path = join_key(self.path, key)
        if not isinstance(value, dict):
            self.problem(key, f"must be a table, not {_describe(value)}", f"Write [{path}].")
            value = {}
        return Table(self.reading, path, value)

    def named_tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The sub-tables of a table whose keys are names that the author chose."""
        group = self.table(key)
        for name in group._values:
            yield name, group.table(name)

    def chosen_keys(self) -> list[str]:
        """The keys of a table whose keys are names that the author chose."""
        return list(self._values)

    def table_list(self, key: str) -> Iterator[Table]:
        value = self._values[key] if self.has(key) else []
        path = join_key(self.path, key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.problem(key, f"must be a list of tables, not {_describe(value)}", f"Write [[{path}]].")
            return
        for index, item in enumerate(value):
            yield Table(self.reading, f"{path}[{index}]", item)

    def _expand(self, key: str, text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            value = self.reading.environ.get(match[1], match[2])
            if value is None:
                self.problem(key, f"environment variable {match[1]} is not set", "Set it, or write ${NAME:-default}.")
            return value or ""

        return _VARIABLE.sub(value_of, text)

    def _measure(
        self,
        key: str,
        suffix: str,
        default: float,
        parse: Callable[[object], float],
        bounds: tuple[float, float, str],
    ) -> float:
        short = key.removesuffix(suffix)
        given = [name for name in (key, short) if self.has(name)]
        if not given:
            return default
        if len(given) == 2:
            self.problem(short, f"is given together with {key}", "They are the same: give one.")
        value = self._values[given[0]]
        least, most, hint = bounds
        try:
            measured = parse(self._expand(given[0], value) if isinstance(value, str) else value)
        except ValueError as error:
            self.problem(given[0], str(error), hint)
            return default
        if not least <= measured <= most:
            self.problem(given[0], f"must be from {least:g} to {most:g}, not {measured:g}", hint)
            return default
        return measured

    def _secret_text(self, key: str) -> str | None:
        value = self._values[key]
        if not isinstance(value, str):
            self.problem(key, "must be text", "Put it in quotes.")
            return None
        if not _VARIABLE.search(value):
            self.warn(key, "stands in the configuration file itself", f"Better {key}_file or {key}_env.")
        return self._expand(key, value)

    def _secret_file(self, key: str) -> str | None:
        path = self.existing_file(key)
        if path is None:
            return None
        warn_if_public(self, key, path)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_SECRET_BYTES + 1)
            text = data.decode()
        except (OSError, UnicodeDecodeError):
            self.problem(key, "cannot be read as UTF-8 text", "Write the secret on one line.")
            return None
        if len(data) > MAX_SECRET_BYTES:
            self.problem(key, f"larger than {MAX_SECRET_BYTES} bytes", "Is this the right file?")
        return text.removesuffix("\n").removesuffix("\r")

    def _secret_variable(self, key: str) -> str | None:
        name = self.text(key)
        if name and name not in self.reading.environ:
            self.problem(key, f"environment variable {name} is not set", "Set it before the gateway starts.")
            return None
        return self.reading.environ.get(name)


def warn_if_public(table: Table, key: str, path: Path) -> None:
    """Warn about a file with a secret that every user of the machine may read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & 0o004:
        table.warn(key, f"every user may read {path}", f"Run: chmod 600 {path}")


def _describe(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a table"}
    if isinstance(value, str):
        return f"{value!r}" if value.strip() else "an empty text"
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), f"a {type(value).__name__}")
