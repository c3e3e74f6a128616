"""YAML for documents that decide who may see what: no surprises, and no work without bound.

Differs from YAML 1.1 where that guesses: only `true` and `false` are booleans (`no` is a word), a number with a
leading zero is a word, dates are words. Refused: the same key twice in a mapping, tags, more than one document,
nesting deeper than `MAX_DEPTH` (libyaml's composer recurses on the C stack), aliases that expand to more than
`MAX_NODES` nodes, texts over `MAX_BYTES`.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 2_000_000

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictYamlError(ValueError):
    """The text is refused; `line` is 1-based, 0 when unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class _StrictLoader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's protocol


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", list("-0123456789")),
    ("merge", r"<<", ["<"]),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)

_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "merge", "str", "map", "seq")}


def parse_strict_yaml(text: str) -> object:
    """The document as dict, list, str, int, float, bool and None. Raises StrictYamlError."""
    try:
        if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
            raise StrictYamlError(f"larger than {MAX_BYTES // 1024 // 1024} MB")
        _check_shape(text)
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_nodes(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _as_strict(error) from None
    except (UnicodeError, ValueError) as error:
        if isinstance(error, StrictYamlError):
            raise
        raise StrictYamlError(str(error)) from None


def _check_shape(text: str) -> None:
    """Walk the events, without building anything: depth, and the size with every alias expanded."""
    depth = size = 0
    started: list[tuple[str | None, int]] = []
    anchors: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_StrictLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise StrictYamlError(f"alias *{event.anchor} is unknown or inside itself", _line(event))
            size += anchors[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            size += 1
            if isinstance(event, yaml.CollectionStartEvent):
                started.append((event.anchor, size - 1))
                depth += 1
            elif event.anchor:
                anchors[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = started.pop()
            if anchor:
                anchors[anchor] = size - before
        if depth > MAX_DEPTH:
            raise StrictYamlError(f"nested deeper than {MAX_DEPTH} levels", _line(event))
        if size > MAX_NODES:
            raise StrictYamlError(f"more than {MAX_NODES} values once aliases are expanded", _line(event))


def _check_nodes(root: Any) -> None:
    """Refuse tags and duplicate keys, each node once however often it is aliased."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.tag not in _PLAIN_TAGS:
            raise StrictYamlError(f"tag {node.tag} is not allowed", _line(node))
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            waiting.extend(child for pair in node.value for child in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)


def _check_keys(mapping: Any) -> None:
    keys: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise StrictYamlError("a key must be a single word", _line(key))
        name = (key.tag, str(key.value))
        if name in keys:
            raise StrictYamlError(f"key {key.value!r} stands twice, first in line {keys[name]}", _line(key))
        keys[name] = _line(key)


def _line(node: Any) -> int:
    return 0 if node.start_mark is None else int(node.start_mark.line) + 1


def _as_strict(error: yaml.YAMLError) -> StrictYamlError:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    return StrictYamlError(str(message), 0 if mark is None else int(mark.line) + 1)
