"""Code that a database's owner brought, as far as PostgreSQL may run it for a statement that does not name it.

Operators are chosen by their operands' types, casts are applied unasked. Code of extensions that have been read
(extensions.py) may run; of the rest this module tells which statements could run it. A value of a user type comes into
a statement by a relation's column, by the name of a type or by a parameter's declared type; so a comparison of two such
values is out of reach where none of these occurs, unless built-in values are converted to them implicitly.

Source: PostgreSQL documentation 10.2 (operator resolution) and CREATE CAST.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from policy.sql.catalog import Catalog, UserCast, UserFunction, UserOperator, UserType
from policy.sql.extensions import REVIEWED

COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class UserCode:
    """What is known of one catalog's user code.

    functions: unqualified names of which every user-defined overload is a reviewed function of its extension.
    qualified_functions, qualified_operators: the same by (schema, name).
    operators: unreviewed ones by name: the user types that have to occur, all of one set, for it to be chosen.
    shadowing: names of operators, reviewed or not, that could be chosen with an operand of a built-in type.
    casts: unreviewed ones that run code. parameter_types: OIDs of types by which a parameter could bring such code.
    risky_types: the names of such types.
    """

    functions: frozenset[str]
    qualified_functions: frozenset[tuple[str, str]]
    qualified_operators: frozenset[tuple[str, str]]
    operators: Mapping[str, frozenset[frozenset[str]]]
    shadowing: frozenset[str]
    casts: tuple[UserCast, ...]
    parts: Mapping[str, frozenset[str]]
    parameter_types: frozenset[int]
    risky_types: frozenset[str]

    def types_within(self, names: Iterable[str]) -> frozenset[str]:
        """These types and the user types that they are made of."""
        return _closure(names, self.parts)

    def may_choose(self, operator: str, types: Iterable[str]) -> bool:
        """Whether unreviewed code could be chosen for an operator where these types occur."""
        needed = self.operators.get(operator)
        return needed is not None and any(each.issubset(types) for each in needed)


def user_code_of(catalog: Catalog) -> UserCode:
    """What is known of a catalog's user code; found out once per catalog."""
    return _user_code(
        catalog.user_functions,
        catalog.functions,
        catalog.user_operators,
        catalog.operators,
        catalog.user_casts,
        catalog.casts,
        catalog.types,
    )


@lru_cache(maxsize=64)
def _user_code(
    function_names: frozenset[str],
    functions: frozenset[UserFunction],
    operator_names: frozenset[str],
    operators: frozenset[UserOperator],
    cast_names: frozenset[tuple[str, str]],
    casts: frozenset[UserCast],
    types: frozenset[UserType],
) -> UserCode:
    unreviewed = {f.name for f in functions if not _function_is_reviewed(f)}
    unreviewed_at = {(f.schema, f.name) for f in functions if not _function_is_reviewed(f)}
    bad_operators = {(o.schema, o.name) for o in operators if o.extension not in REVIEWED}
    converted = frozenset(
        c.target for c in casts if c.context == "implicit" and c.to_user_type and not c.from_user_type
    )
    bad_casts = _unreviewed_casts(cast_names, casts)
    needed = _operators_by_need(operator_names, operators, converted)
    parts = _parts_by_name(types)
    risky = {name for each in needed.values() for names in each for name in names}
    risky |= {c.source for c in bad_casts if c.from_user_type} | {c.target for c in bad_casts if c.to_user_type}
    return UserCode(
        functions=frozenset(f.name for f in functions if f.name in function_names) - unreviewed,
        qualified_functions=frozenset((f.schema, f.name) for f in functions) - unreviewed_at,
        qualified_operators=frozenset((o.schema, o.name) for o in operators) - bad_operators,
        operators=needed,
        shadowing=_shadowing(operator_names, operators, converted),
        casts=bad_casts,
        parts=parts,
        parameter_types=frozenset(t.oid for t in types if not risky.isdisjoint(_closure([t.name], parts))),
        risky_types=frozenset(t.name for t in types if not risky.isdisjoint(_closure([t.name], parts))) | risky - {""},
    )


def _function_is_reviewed(function: UserFunction) -> bool:
    return function.name in REVIEWED.get(function.extension, ())


def _operators_by_need(
    names: frozenset[str], operators: frozenset[UserOperator], converted: frozenset[str]
) -> dict[str, frozenset[frozenset[str]]]:
    """converted: user types that values of built-in types become unasked. A string constant becomes a value of any
    type, unless the name is one that text has an operator for."""
    found: dict[str, set[frozenset[str]]] = {}
    for operator in operators:
        if operator.extension not in REVIEWED:
            operands = frozenset({operator.left, operator.right})
            within = operator.name in COMPARISONS and operands.isdisjoint(converted | {""})
            found.setdefault(operator.name, set()).add(operands if within else frozenset())
    for name in names - {operator.name for operator in operators}:
        found[name] = {frozenset()}
    return {name: frozenset(needed) for name, needed in found.items()}


def _shadowing(names: frozenset[str], operators: frozenset[UserOperator], converted: frozenset[str]) -> frozenset[str]:
    built_in = converted | {""}
    known = {operator.name for operator in operators}
    return (names - known) | {o.name for o in operators if o.left in built_in or o.right in built_in}


def _unreviewed_casts(names: frozenset[tuple[str, str]], casts: frozenset[UserCast]) -> tuple[UserCast, ...]:
    if not casts:  # by name only: of user types, for all that is known implicit
        return tuple(UserCast(s, t, True, True, "implicit") for s, t in sorted(names))
    unreviewed = (cast for cast in casts if cast.runs_code and cast.extension not in REVIEWED)
    return tuple(sorted(unreviewed, key=lambda cast: (cast.source, cast.target)))


def _parts_by_name(types: frozenset[UserType]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for each in types:
        if each.parts:
            found[each.name] = found.get(each.name, frozenset()) | frozenset(each.parts)
    return found


def _closure(names: Iterable[str], parts: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(parts.get(name, ()))
    return frozenset(found)
