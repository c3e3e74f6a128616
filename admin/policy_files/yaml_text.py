"""Bodies as YAML that strict reading (policy/strict_yaml.py) gives back, the same text for the same value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

# What the strict reader, or another one that guesses more, would not take for the text that it is.
_GUESSED = re.compile(r"(?:~|null|true|false|yes|no|on|off|y|n|[-+.0-9].*|<<|=)", re.IGNORECASE)


class _Dumper(yaml.SafeDumper):
    """Texts that could be read as something else are quoted; `on` and `off`, which are switches here, are not."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
    quoted = value not in ("on", "off") and _GUESSED.fullmatch(value) is not None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)
# `on` and `off` stay plain: resolvers of YAML 1.1 that would quote them are not ours.
_Dumper.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first not in "oO"]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def yaml_text(value: Mapping[str, Any]) -> str:
    """Block style, two spaces, keys in the given order."""
    if not value:
        return "{}\n"
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, indent=2)
