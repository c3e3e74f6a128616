"""Tags of tables and columns, beside a table's class: `{tenant_column: t, tags: [crm], columns: {email: [pii]}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from policy.names import parse_identifier
from policy.problems import Problems, join_key
from policy.yaml_values import as_list, as_mapping

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}")


def take_tags(
    problems: Problems, path: str, fields: dict[str, object]
) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    """Take `tags` and `columns` out of a table's fields: its tags, and those of its columns."""
    tags = _tags(problems, f"{path}.tags", fields.pop("tags", None))
    columns: dict[str, frozenset[str]] = {}
    for key, value in as_mapping(problems, f"{path}.columns", fields.pop("columns", None)).items():
        here = join_key(f"{path}.columns", key)
        try:
            columns[parse_identifier(key)] = _tags(problems, here, value)
        except ValueError as error:
            problems.add(here, str(error), "Names are written as in SQL.")
    return tags, MappingProxyType(columns)


def _tags(problems: Problems, path: str, value: object) -> frozenset[str]:
    found: set[str] = set()
    for index, item in enumerate(as_list(problems, path, value)):
        if isinstance(item, str) and _TAG.fullmatch(item):
            found.add(item)
        else:
            problems.add(
                f"{path}[{index}]", f"not a tag: {str(item)[:40]!r}", "Letters, digits and _ . : - , at most 63."
            )
    return frozenset(found)
