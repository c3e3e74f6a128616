"""A logged-in session: who it is, which tenant, and the values that fill a plan's slots.

Lifetime: from a successful login to the end of the frontend's connection. A session is bound to one tenant for
life; its permission set and plan scope change when the gateway's generation does (`refresh`).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from policy.abac.facts import NOWHERE, Surroundings
from policy.change_tracking import mark_of
from policy.model import Principal, Tenant
from policy.sql.namespaces import lock_key_of, namespace_of
from policy.sql.plan import (
    ClientText,
    CompiledQuery,
    Piece,
    Plan,
    Slot,
    SlotKind,
    SlotValues,
    StatementKind,
    fill_slot,
    quota_query,
    quote_identifier,
    quote_literal,
    render,
)
from policy.sql.shape import shape_of
from proxy.audit.statement import StatementFrame
from proxy.plans.cache import PlanScope
from proxy.quota_view import quota_lines
from proxy.quotas import TenantUsage

_MAX_TEMPLATES: Final = 256
_BEGIN: Final = re.compile(r"\s*BEGIN(\s+(WORK|TRANSACTION))?\s*;?\s*", re.IGNORECASE)


class Template:
    """A compiled query with this session's values filled in; only client literals are left open.

    plain: nothing but to send it. Otherwise it is refused, copies, defines, or touches the session: the engine looks.
    begins: it is a mere BEGIN. works: counts for the quotas per period: anything but BEGIN, COMMIT and their like, and
    SHOW QUOTA. stages: the texts of the statements that its one COPY becomes, if it is several.
    """

    __slots__ = (
        "_live",
        "begins",
        "compiled",
        "first",
        "format",
        "frame",
        "grows",
        "leaves",
        "literals",
        "plain",
        "private",
        "private_by",
        "rewritten",
        "shared",
        "stages",
        "tables_made",
        "works",
        "writes",
    )

    def __init__(self, compiled: CompiledQuery, values: SlotValues) -> None:
        self.compiled = compiled
        self.frame: StatementFrame | None = None  # the recorder's, for audit events of the first statement
        # The recorder's: whether its values are not kept, if `private_by` is of the policy in force.
        self.private = False
        self.private_by: object = None
        self.shared: object = None  # the engine's: how it runs as a shared prepared statement, once that was asked
        self.first = compiled.plans[0] if compiled.plans else None
        self.leaves = 0
        for plan in compiled.plans:
            self.leaves |= plan.leaves
        self.writes = any(plan.write for plan in compiled.plans)
        self.plain = all(_is_plain(plan) for plan in compiled.plans)
        self.grows = any(plan.grows for plan in compiled.plans)
        self.tables_made = sum(plan.tables_made for plan in compiled.plans)
        self.works = any(_works(plan) for plan in compiled.plans)
        stages = self.first.stages if self.first is not None and len(compiled.plans) == 1 else ()
        self.stages = tuple(["".join([_text(piece, values) for piece in stage]) for stage in stages])
        self._live = values if any(plan.session_action == ("quota",) for plan in compiled.plans) else None
        self.literals: tuple[int, ...] | None = None
        self.rewritten = any(_is_ours(piece) for plan in compiled.plans for piece in plan.pieces)
        parts: list[str] = []
        literals: list[int] = []
        for plan in compiled.plans:
            if parts:
                parts.append("; ")
            for piece in plan.pieces:
                if isinstance(piece, Slot) and piece.kind is SlotKind.QUOTAS:
                    continue
                if isinstance(piece, Slot) and piece.kind is SlotKind.LITERAL:
                    parts.append("%s")
                    literals.append(piece.index)
                else:
                    parts.append(_text(piece, values).replace("%", "%%"))
        self.format = "".join(parts)
        if literals:
            self.literals = tuple(literals)
        else:
            self.format %= ()
        alone = len(compiled.plans) == 1 and not self.rewritten and self.plain
        self.begins = alone and _BEGIN.fullmatch(self.format) is not None

    @property
    def live(self) -> bool:
        """Its text is another one each time."""
        return self._live is not None

    def text(self, literals: tuple[str, ...]) -> str:
        """The text to send."""
        if self._live is not None:
            return "; ".join(render(plan, self._live, literals) for plan in self.compiled.plans)
        if self.literals is None:
            return self.format
        return self.format % tuple([literals[index] for index in self.literals])


def _works(plan: Plan) -> bool:
    return plan.kind not in (StatementKind.TRANSACTION, StatementKind.EMPTY) and plan.session_action != ("quota",)


def _is_plain(plan: Plan) -> bool:
    special = plan.kind in (StatementKind.COPY_IN, StatementKind.DDL) or plan.approvals or plan.byte_limit
    return not (special or plan.denial or plan.session_action or plan.settings or plan.pins)


def _is_ours(piece: Piece) -> bool:
    return isinstance(piece, str) or (isinstance(piece, Slot) and piece.kind is not SlotKind.LITERAL)


def _text(piece: Piece, values: SlotValues) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, ClientText):
        return piece.text
    return fill_slot(piece, values)


class TenantTotals:
    """What a tenant's sessions moved since the gateway started; bytes, and microseconds of statements."""

    __slots__ = ("bytes_received", "bytes_sent", "query_us")

    def __init__(self) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.query_us = 0


def _quotas_of(usage: TenantUsage) -> str:
    """The query that SHOW QUOTA becomes."""
    return quota_query(quota_lines(usage, time.time(), time.monotonic()))


class Session:
    """What the engine knows of its client."""

    __slots__ = (
        "_show_quotas",
        "_templates",
        "alerts_seen",
        "application_name",
        "basis",
        "busy_until",
        "client_address",
        "counts",
        "expires_at",
        "generation",
        "id",
        "policy_version",
        "principal",
        "process_id",
        "requests",
        "scope",
        "surroundings",
        "tenant",
        "totals",
        "usage",
        "values",
    )

    def __init__(
        self,
        principal: Principal,
        tenant: Tenant,
        usage: TenantUsage,
        counts: dict[str, int],
        totals: TenantTotals,
        client_address: str,
        application_name: str,
        surroundings: Surroundings = NOWHERE,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.principal = principal
        self.tenant = tenant
        self.usage = usage
        self.alerts_seen = 0
        self.busy_until = 0.0  # when the last statement ended that its backend ran; seconds of the engine's clock
        self.counts = counts
        self.totals = totals
        self.client_address = client_address
        self.application_name = application_name
        self.surroundings = surroundings
        self.expires_at = principal.expires_at
        self.process_id = 0  # what the client takes for its backend's
        self.requests = 0  # recorded as they began
        self.generation = -1
        self.basis = 0
        self.policy_version = 0
        self.scope: PlanScope | None = None
        self.values = NO_VALUES
        self._templates: dict[int, Template] = {}
        self._show_quotas: Callable[[], str] = partial(_quotas_of, usage)  # no method: it would hold this session

    def enter(
        self, scope: PlanScope, tenant: Tenant, generation: int, policy_version: int, author_key: bytes | None = None
    ) -> None:
        """Judge statements by `scope` from now on. `generation` grows with policy and with catalogs, of other tenants,
        too; `basis` when what this session is judged by has changed. author_key: proves to the target who it is."""
        known, values = self.scope, slot_values(self.principal, tenant, scope.catalog.salt, self._show_quotas)
        if scope.access.tracked:
            values = replace(values, author=mark_of(tenant.id, self.principal.subject, self.id, author_key))
        same = known is not None and known.catalog is scope.catalog and known.access.id == scope.access.id
        if not same or values != self.values:
            self.basis += 1
        self.scope = scope
        self.tenant = tenant
        self.values = values
        self.generation = generation
        self.policy_version = policy_version
        self._templates.clear()

    def forget_templates(self) -> None:
        """They are made again when they are asked for."""
        if self._templates:
            self._templates = {}

    def template(self, compiled: CompiledQuery) -> Template:
        """The compiled query with this session's values in it."""
        template = self._templates.get(id(compiled))
        if template is None:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            template = self._templates[id(compiled)] = Template(compiled, self.values)
        return template


NO_VALUES: Final = SlotValues("", "", "", {})


def slot_values(principal: Principal, tenant: Tenant, salt: str, quotas: Callable[[], str] | None = None) -> SlotValues:
    """The session's values, quoted; `salt` is its catalog's, `quotas` tells what SHOW QUOTA shows."""
    return SlotValues(
        tenant=quote_literal(tenant.value),
        schema=quote_identifier(tenant.schema or "public"),
        subject=quote_literal(principal.subject),
        attributes={name: quote_literal(value) for name, value in principal.attributes.items()},
        namespace=namespace_of(tenant.id),
        lock_key=lock_key_of(tenant.id, salt),
        quotas=quotas,
    )


def client_position(compiled: CompiledQuery, position: int, values: SlotValues, literals: tuple[str, ...]) -> int:
    """Map a 1-based position in the sent text to the client's text; 0 when the gateway wrote that place.

    Offsets in pieces are those of the text that the plan was compiled from; literals of another length shift them.
    """
    cursor = 1
    for number, plan in enumerate(compiled.plans):
        cursor += 2 if number else 0
        length = sum(len(_piece_text(piece, values, literals)) for piece in plan.pieces)
        if position < cursor + length:
            if literals and len(compiled.plans) > 1:
                return 0
            return _position_in(plan, position - cursor, values, literals)
        cursor += length
    return 0


def _position_in(plan: Plan, offset: int, values: SlotValues, literals: tuple[str, ...]) -> int:
    shape = shape_of(plan.original) if literals else None
    compiled_literals = shape.literals if shape is not None else ()
    cursor, shift, client_end = 0, 0, plan.offset
    for piece in plan.pieces:
        text = _piece_text(piece, values, literals)
        inside = cursor <= offset < cursor + len(text)
        if isinstance(piece, ClientText):
            if inside:
                return piece.offset + shift + (offset - cursor) + 1
            client_end = piece.offset + shift + len(text)
        elif isinstance(piece, Slot) and piece.kind is SlotKind.LITERAL:
            if inside:  # in the body of a function, say
                return client_end + 1 + (offset - cursor)
            if piece.index < len(compiled_literals):
                shift += len(text) - len(compiled_literals[piece.index])
        elif inside:
            return 0
        cursor += len(text)
    return 0


def _piece_text(piece: Piece, values: SlotValues, literals: tuple[str, ...]) -> str:
    if isinstance(piece, Slot) and piece.kind is SlotKind.LITERAL:
        return literals[piece.index]
    return _text(piece, values)
