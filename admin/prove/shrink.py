"""Make a statement smaller while it still shows the same fault: parts of its tree are left out one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import pglast
from pglast import ast
from pglast.stream import RawStream

from admin.prove.steps import Case, Step

Differs = Callable[[Case], Awaitable[bool]]
MAX_ATTEMPTS = 120

_Path = tuple[tuple[str, int | None], ...]


async def shrink(case: Case, step: int, differs: Differs) -> Case:
    """The smallest case found that still differs; `step` is the index of the one that does."""
    attempts = MAX_ATTEMPTS
    for index in reversed(range(len(case.steps))):
        if index != step and case.steps[index].counted:
            smaller = replace(case, steps=case.steps[:index] + case.steps[index + 1 :])
            if await differs(smaller):
                case, step = smaller, step - (index < step)
    progress = True
    while progress and attempts > 0:
        progress = False
        kept = ("sortClause",) if case.steps[step].ordered else ()  # without it the order is not settled
        for smaller_sql in smaller_statements(case.steps[step].sql, kept):
            attempts -= 1
            candidate = _with(case, step, replace(case.steps[step], sql=smaller_sql))
            if await differs(candidate):
                case, progress = candidate, True
                break
            if attempts <= 0:
                break
    return case


def _with(case: Case, index: int, step: Step) -> Case:
    return replace(case, steps=(*case.steps[:index], step, *case.steps[index + 1 :]))


def smaller_statements(sql: str, kept: Collection[str] = ()) -> Iterator[str]:
    """Shorter texts of the statement with one part left out, biggest cuts first. Nothing for what does not parse.

    kept: fields whose contents stay.
    """
    try:
        tree = pglast.parse_sql(sql)
    except pglast.Error:
        return
    edits = sorted(_edits(tree[0].stmt, ()), key=lambda edit: len(edit[0]))
    seen = {sql}
    for path, child in edits:
        if any(name in kept for name, _ in path):
            continue
        text = _edited(sql, path, child)
        if text is not None and text not in seen and len(text) < len(sql):
            seen.add(text)
            yield text


def _edits(node: Any, path: _Path) -> Iterator[tuple[_Path, str | None]]:
    """(where, None to leave it out or the name of the field whose node takes its place)."""
    for name in node:
        value = getattr(node, name)
        if isinstance(value, ast.Node):
            here = (*path, (name, None))
            yield here, None
            yield from ((here, child) for child in value if _is_expression(getattr(value, child)))
            yield from _edits(value, here)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, ast.Node):
                    here = (*path, (name, index))
                    yield here, None
                    yield from ((here, child) for child in item if _is_expression(getattr(item, child)))
                    yield from _edits(item, here)


def _is_expression(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], ast.Node)
    return isinstance(value, ast.Node)


def _edited(sql: str, path: _Path, child: str | None) -> str | None:
    """The statement with that edit, or None when it cannot be written."""
    try:
        tree = pglast.parse_sql(sql)
        node: Any = tree[0].stmt
        for name, index in path[:-1]:
            node = getattr(node, name) if index is None else getattr(node, name)[index]
        name, index = path[-1]
        old = getattr(node, name) if index is None else getattr(node, name)[index]
        new = None if child is None else getattr(old, child)
        if isinstance(new, tuple):
            new = new[0]
        if index is None:
            setattr(node, name, new)
        else:
            items = getattr(node, name)
            kept = items[:index] + (() if new is None else (new,)) + items[index + 1 :]
            setattr(node, name, kept or None)
        text: str = RawStream()(tree[0].stmt)  # type: ignore[arg-type]
        return text
    except Exception:
        return None
