"""Which code a statement may run: functions, operators, casts, also where no function call is written.

The authority is PostgreSQL's parse tree, walked whole: a call inside a default, a sort clause, an XMLTABLE argument
or a sampling clause is found like any other. Built-ins are allowed by name (`policy/sql/builtin_functions.py`);
user-defined code is opaque, so it is refused wherever another tenant's rows can be reached from its body. This
module does not decide about relations.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from policy.access import Access
from policy.errors import AccessDenied, InvalidStatement, StatementRefused
from policy.model import Isolation, TableClass
from policy.names import parse_table_name
from policy.sql import builtin_functions as builtin
from policy.sql import parse
from policy.sql.catalog import Catalog
from policy.sql.extensions import ARGUMENTS
from policy.sql.parse import Node, enums, parse_statements, text_constant, walk
from policy.sql.plan import ANYTHING, NUMBERS
from policy.sql.rules.catalog_functions import GUARDED, GUARDED_EVERYWHERE, is_readable_setting
from policy.sql.rules.object_names import GUARDED as NAMING
from policy.sql.user_casts import check_casts, mentions
from policy.sql.user_code import user_code_of
from policy.sql.visible_columns import columns_by_name

ast: Any = parse.ast
_REASONS = tuple((re.compile(pattern), reason) for pattern, reason in builtin.REFUSAL_REASONS)
_BEYOND, _RUNS_SQL = re.compile(builtin.BEYOND_THE_DATABASE), re.compile(builtin.RUN_SQL)
_SAMPLING_METHODS = frozenset({"system", "bernoulli"})
_BUILTIN_SCHEMAS = frozenset({"", "pg_catalog"})
_CATALOG_HELPERS = frozenset({("information_schema", "_pg_expandarray")})  # pgJDBC getPrimaryKeys

_Kind = enums.A_Expr_Kind
_BETWEEN = {
    _Kind.AEXPR_BETWEEN: (">=", "<="),
    _Kind.AEXPR_NOT_BETWEEN: ("<", ">"),
    _Kind.AEXPR_BETWEEN_SYM: (">=", "<="),
    _Kind.AEXPR_NOT_BETWEEN_SYM: ("<", ">"),
}


@dataclass(frozen=True, slots=True)
class CodeReview:
    """Outcome for an allowed statement. `pinned`: a literal took part, so the plan holds for this exact text only.
    `writes`: a call in it changes the database. `runs_user_code`: a call of a function that nobody has read.
    `recalls`: it asks for a number that its own backend took from a sequence before (currval, lastval).
    `leaves`: what its calls may leave on the backend (plan.py)."""

    pinned: bool = False
    writes: bool = False
    runs_user_code: bool = False
    recalls: bool = False
    leaves: int = 0


def review_code(
    statement: Node, access: Access, catalog: Catalog, *, answered_calls: Collection[int] = (), stored: bool = False
) -> CodeReview:
    """Check all code that `statement` can reach by name; return what its plan must know.

    `stored`: it runs as it stands on the target, so that no rule can rewrite a call in it.

    `answered_calls`: locations of function calls that another rule has decided already (set_config, nextval of a
    column default). Raises AccessDenied (42501) or InvalidStatement (42883) with position and hint.
    """
    reviewer = _Reviewer(statement, access, catalog, frozenset(answered_calls), stored)
    for node in walk(statement):
        reviewer.review(node)
    reviewer.check_casts()
    return CodeReview(reviewer.pinned, reviewer.writes, reviewer.runs_user_code, reviewer.recalls, reviewer.leaves)


def default_is_allowed(default_sql: str, access: Access, catalog: Catalog) -> bool:
    """Whether a column's default or generation expression runs reviewed code only, or a generator of ids."""
    try:
        expression = parse_statements(f"SELECT {default_sql}")[0].node
        calls = {call.location for call in walk(expression) if _is_generator(call)}
        review_code(expression, access, catalog, answered_calls=calls, stored=True)
    except StatementRefused:
        return False
    return True


def _is_generator(node: Node) -> bool:
    return isinstance(node, ast.FuncCall) and _schema_and_name(node.funcname)[1] in builtin.DEFAULT_GENERATORS


class _Reviewer:
    """Walks one statement; `pinned` is set on the way."""

    __slots__ = (
        "_access", "_answered", "_catalog", "_code", "_columns", "_own_database", "_statement", "_stored", "_types",
        "leaves", "pinned", "recalls", "runs_user_code", "writes",
    )  # fmt: skip

    def __init__(
        self, statement: Node, access: Access, catalog: Catalog, answered: frozenset[int], stored: bool
    ) -> None:
        self._access = access
        self._catalog = catalog
        self._answered = answered
        self._stored = stored
        self._own_database = access.isolation is Isolation.DATABASE
        self._columns = columns_by_name(statement, catalog)
        self._statement = statement
        self._code = user_code_of(catalog)
        self._types: frozenset[str] | None = None
        self.pinned = False
        self.writes = False
        self.recalls = False
        self.leaves = 0
        self.runs_user_code = False

    def review(self, node: Node) -> None:
        review = _REVIEWS.get(type(node))
        if review is not None:
            review(self, node)

    # -- function calls ------------------------------------------------------------------------------------

    def function_call(self, node: Node) -> None:
        schema, name = _schema_and_name(node.funcname)
        self._check_denied(schema, name, node.location)
        if node.location in self._answered:
            return
        if self._is_user_code(schema, name):
            if self._is_listed(schema, name, len(node.args or ())):
                self.writes = True  # it may
                self.leaves |= ANYTHING
            elif not self._is_reviewed(schema, name, len(node.args or ())):
                self._user_function(schema, name, node.location)
                return
            if schema or name not in self._catalog.builtin_functions:
                return
        if self._access.code and name not in self._catalog.builtin_functions and not _BEYOND.fullmatch(name):
            self.runs_user_code = True  # made in this transaction: the catalog does not have it yet
            return
        reviewed = name in builtin.ALLOWED or (schema, name) in _CATALOG_HELPERS
        if not reviewed and not self._reviewed_call(name, node.args or ()):
            self._refuse_builtin(name, node.location)

    def _check_denied(self, schema: str, name: str, location: int) -> None:
        own = "" if self._access.isolation is not Isolation.SCHEMA or schema == "pg_catalog" else schema
        if self._access.denies_function(schema, name, own):
            raise AccessDenied(
                f"permission denied for function {name}",
                hint="Your roles deny it; ask your administrator.",
                position=location + 1,
            )

    def _is_user_code(self, schema: str, name: str) -> bool:
        if schema not in _BUILTIN_SCHEMAS:
            return (schema, name) not in _CATALOG_HELPERS
        return schema == "" and name in self._catalog.user_functions

    def _is_reviewed(self, schema: str, name: str, arguments: int) -> bool:
        """Whether all user code of this name is functions of extensions that have been read."""
        known = (schema, name) in self._code.qualified_functions if schema else name in self._code.functions
        return known and arguments == ARGUMENTS.get(name, arguments)

    def _is_listed(self, schema: str, name: str, arguments: int) -> bool:
        """Whether the policy lists it, and rules/tenant_arguments.py can give it the tenant where it wants that."""
        rule = None if schema == "pg_catalog" else self._access.function(schema, name)
        if rule is None or rule.tenant_argument is None:
            return rule is not None
        # unqualified it could be a built-in's name, whose argument must stay
        certain = schema != "" or name not in self._catalog.builtin_functions
        return certain and not self._stored and arguments >= rule.tenant_argument

    def _user_function(self, schema: str, name: str, location: int) -> None:
        """User code may read anything its owner may: only in a tenant's own database, for who may define code."""
        shown = f"{schema}.{name}" if schema else name
        reason = _reason(name)
        if reason is not None and not (self._is_alone() and not _BEYOND.fullmatch(name)):
            raise _denied(f"function {shown} is not allowed", reason, location)
        if self._own_code_is_allowed():
            self.runs_user_code = True
            return
        hint = "user-defined functions can read other tenants' rows; write the query itself in the statement"
        if name in builtin.ALLOWED and schema == "":
            hint = f"a user-defined function has the same name; write pg_catalog.{name}"
        elif self._own_database:
            hint = "calling user-defined functions needs the permission schema:*:ddl"
        raise _denied(f"function {shown} is not allowed", hint, location)

    def _reviewed_call(self, name: str, arguments: tuple[Node, ...]) -> bool:
        """Built-ins that depend on how they are called."""
        if name == "ts_rewrite" and len(arguments) == 3:
            return True
        if name == "current_setting":
            return self._own_setting(arguments)
        if name in builtin.SEQUENCES:
            return self._sequence_call(name, arguments)
        if (name in GUARDED or name in NAMING) and not self._own_database:
            return True  # guard_catalog_functions and guard_object_names let it see the session's objects only
        if name in builtin.GUARDED_BY_OID or name in GUARDED_EVERYWHERE:
            return True
        if name in builtin.CHANNELS or name in builtin.ADVISORY_LOCKS:
            return self._own_database or not self._stored
        if self._is_alone() and not _BEYOND.fullmatch(name):
            self.runs_user_code = self.runs_user_code or _RUNS_SQL.fullmatch(name) is not None
            return True
        own = builtin.PRIVILEGE_TESTS | builtin.NAME_RESOLVERS | builtin.OWN_DATABASE_ONLY
        return self._own_database and name in own

    def _own_setting(self, arguments: tuple[Node, ...]) -> bool:
        """What is no constant is looked at on the target (rules/catalog_functions.py); unknown settings are not set."""
        setting = text_constant(arguments[0]) if arguments else ""
        self.pinned = True
        if setting is not None and is_readable_setting(setting, self._access):
            return True
        return not self._stored and (setting is None or ("." in setting and len(arguments) == 2))

    def _sequence_call(self, name: str, arguments: tuple[Node, ...]) -> bool:
        """Sequences of a shared database count everybody's rows; elsewhere they are found by unqualified name."""
        self.writes = self.writes or name in ("nextval", "setval")
        self.leaves |= NUMBERS
        self.recalls = self.recalls or name in ("currval", "lastval")
        if self._access.isolation is Isolation.SHARED:
            self.pinned = True
            return name in ("nextval", "currval") and len(arguments) == 1 and self._is_listed_sequence(arguments[0])
        if name == "setval" and not self._access.ddl:
            return False
        if self._own_database or not arguments:
            return True
        self.pinned = True
        try:
            sequence = _regclass_text(arguments[0])
        except ValueError:
            return False
        return "." not in sequence and not sequence.strip().isdigit()

    def _is_listed_sequence(self, argument: Node) -> bool:
        """Whether the policy lists this sequence as one that gives its numbers to all tenants."""
        try:
            schema, name = parse_table_name(_regclass_text(argument))
        except ValueError:
            return False
        rule = self._access.rules.get((schema, name))
        relation = self._catalog.relations.get((schema, name))
        listed = rule is not None and rule.table_class is TableClass.SEQUENCE
        return listed and relation is not None and relation.kind == "S" and self._access.table(schema, name).write

    def _refuse_builtin(self, name: str, location: int) -> None:
        known = self._catalog.builtin_functions
        if known and name not in known:
            raise InvalidStatement(
                f"function {name} does not exist",
                sqlstate="42883",
                position=location + 1,
                hint="Check the spelling; \\df lists the functions you may call.",
            )
        reason = _reason(name) or "it is not on the list of functions reviewed for tenants; ask your administrator"
        raise _denied(f"function {name} is not allowed", reason, location)

    # -- code without a function call -----------------------------------------------------------------------

    def operator_expression(self, node: Node) -> None:
        if node.kind in _BETWEEN:
            self._check_operators(_BETWEEN[node.kind], node.location)
        else:
            self._check_operator(node.name, node.location)

    def sub_link(self, node: Node) -> None:
        if node.operName:
            self._check_operator(node.operName, node.location)
        elif node.subLinkType in (enums.SubLinkType.ANY_SUBLINK, enums.SubLinkType.ALL_SUBLINK):
            self._check_operators(("=",), node.location)

    def case_expression(self, node: Node) -> None:
        if node.arg is not None:
            self._check_operators(("=",), node.location)

    def join(self, node: Node) -> None:
        if node.isNatural or node.usingClause:
            self._check_operators(("=",), -1)

    def sort(self, node: Node) -> None:
        if node.useOp:
            self._check_operator(node.useOp, node.location)

    def _check_operator(self, name: tuple[Node, ...], location: int) -> None:
        schema, operator = _schema_and_name(name)
        if schema == "":
            self._check_operators((operator,), location)
        elif (
            schema != "pg_catalog"
            and (schema, operator) not in self._code.qualified_operators
            and not self._own_code_is_allowed()
        ):
            raise _denied(f"operator {schema}.{operator} is not allowed", _OPERATOR_HINT.format(operator), location)

    def _check_operators(self, operators: Iterable[str], location: int) -> None:
        if self._own_code_is_allowed():
            return
        for operator in operators:
            if operator in self._code.operators and self._code.may_choose(operator, self._types_that_occur()):
                raise _denied(f"operator {operator} is not allowed", _OPERATOR_HINT.format(operator), location)

    def _is_alone(self) -> bool:
        """A database of the tenant's own, for who may store code in it."""
        return self._own_database and self._access.code

    def _own_code_is_allowed(self) -> bool:
        return self._access.code or (self._own_database and self._access.ddl)

    def _types_that_occur(self) -> frozenset[str]:
        """User types of which the statement may hold a value."""
        if self._types is None:
            self._types = self._code.types_within(
                name for mention in mentions(self._statement, self._catalog) for name in mention.types
            )
        return self._types

    def check_casts(self) -> None:
        """Refuse a statement for which PostgreSQL could apply an unreviewed cast."""
        if self._code.casts and not self._own_code_is_allowed():
            check_casts(self._statement, self._catalog)

    def sampling(self, node: Node) -> None:
        schema, name = _schema_and_name(node.method)
        if schema not in _BUILTIN_SCHEMAS or name not in _SAMPLING_METHODS:
            raise _denied(f"tablesample method {name} is not allowed", "use SYSTEM or BERNOULLI", node.location)

    def column_reference(self, node: Node) -> None:
        """`a.f` means f(a) when `a` has no column `f`."""
        fields = node.fields
        if len(fields) > 1 and isinstance(fields[-1], ast.String) and isinstance(fields[-2], ast.String):
            self._attribute(fields[-2].sval, fields[-1].sval, node.location)

    def indirection(self, node: Node) -> None:
        """`(a).f` means f(a), too."""
        qualifier = ""
        if isinstance(node.arg, ast.ColumnRef) and isinstance(node.arg.fields[-1], ast.String):
            qualifier = node.arg.fields[-1].sval
        for step in node.indirection:
            if isinstance(step, ast.String):
                self._attribute(qualifier, step.sval, getattr(node.arg, "location", None))
            qualifier = ""

    def _attribute(self, qualifier: str, name: str, location: int | None) -> None:
        user_code = (
            name in self._catalog.user_functions
            and not self._is_reviewed("", name, 1)
            and not self._is_listed("", name, 0)
            and not self._own_code_is_allowed()
        )
        free = name in builtin.ALLOWED or name not in self._catalog.builtin_functions
        if not user_code and free and not self._access.denies_function("", name):
            return
        found = self._columns.get(qualifier, ())
        if found and all(name in columns for columns in found):
            return
        raise _denied(
            f"{qualifier or '(...)'}.{name} may call the function {name}, which is not allowed",
            "give the table an alias of its own and name one of its columns",
            -1 if location is None else location,
        )


_OPERATOR_HINT = "it is user-defined and runs code; write OPERATOR(pg_catalog.{0}) for the built-in one"

_REVIEWS = {
    ast.FuncCall: _Reviewer.function_call,
    ast.A_Expr: _Reviewer.operator_expression,
    ast.SubLink: _Reviewer.sub_link,
    ast.CaseExpr: _Reviewer.case_expression,
    ast.JoinExpr: _Reviewer.join,
    ast.SortBy: _Reviewer.sort,
    ast.RangeTableSample: _Reviewer.sampling,
    ast.ColumnRef: _Reviewer.column_reference,
    ast.A_Indirection: _Reviewer.indirection,
}


def _schema_and_name(names: tuple[Node, ...]) -> tuple[str, str]:
    """Of a qualified name; a database part is dropped, as PostgreSQL allows the current one only."""
    parts = [part.sval for part in names if isinstance(part, ast.String)]
    return (parts[-2] if len(parts) > 1 else "", parts[-1])


def _reason(name: str) -> str | None:
    return next((reason for pattern, reason in _REASONS if pattern.fullmatch(name)), None)


def _strip_casts(node: Node) -> Node:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _regclass_text(node: Node) -> str:
    """A constant that PostgreSQL reads as a relation's name just as it stands: a cast might cut it. Or ValueError."""
    while isinstance(node, ast.TypeCast) and not node.typeName.typmods and not node.typeName.arrayBounds:
        names = [part.sval for part in node.typeName.names]
        if names not in (["regclass"], ["text"], ["pg_catalog", "regclass"], ["pg_catalog", "text"]):
            break
        node = node.arg
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.String):
        return str(node.val.sval)
    raise ValueError("not a name")


def _denied(message: str, hint: str, location: int) -> AccessDenied:
    return AccessDenied(message, hint=hint[:1].upper() + hint[1:] + ".", position=location + 1)
