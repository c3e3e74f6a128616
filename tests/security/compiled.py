"""Compile corpus statements as tenant acme and run what they become straight on PostgreSQL: no gateway in between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from policy.access import Access
from policy.document import parse_policy
from policy.errors import StatementRefused
from policy.rbac import resolve_access
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import CompiledQuery, SlotValues, quote_identifier, quote_literal, render
from policy.sql.shape import shape_of
from tests.security import corpus, fixture

SESSION = "SET search_path = pg_catalog, public; SET client_encoding = 'UTF8'"
FOREIGN = (
    ("tenants", "tenant_id"), ("accounts", "tenant_id"), ("orders", "tenant_id"), ("order_items", "tenant_id"),
    ("notes", "tenant_id"), ("attachments", "tenant_id"), ("attachment_links", "tenant_id"), ("events", "tenant_id"),
    ("metrics", "tenant_id"), ("documents", "tenant_id"), ('"Invoices"', "tenant_id"), ('"user"', "tenant_id"),
    ("legacy_orders", "org"), ("drafts", "tenant_id"), ("audit_log", "tenant_id"),
    ("quarterly_consolidated_financial_statements_for_audit_purposes0", "tenant_id"),
)  # fmt: skip


def acme_access(isolation: str = "shared") -> Access:
    snapshot = parse_policy(fixture.policy_text(isolation), version=1, targets=[fixture.TARGET])
    return resolve_access(snapshot, snapshot.tenants["acme"], frozenset({"app"}))


def slot_values(tenant: str = "acme", schema: str = "t_acme") -> SlotValues:
    return SlotValues(quote_literal(tenant), quote_identifier(schema), quote_literal("alice"), {})


@dataclass(slots=True)
class Outcome:
    """What the client would have seen, and what was sent to the server. `status` is the transaction's at the end."""

    compiled: CompiledQuery
    sent: list[str] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    copied: bytes = b""

    @property
    def denial(self) -> StatementRefused | None:
        return self.compiled.denial

    def visible(self) -> str:
        """All text that a client could read."""
        cells = [cell for row in self.rows for cell in row if cell is not None]
        parts = [*cells, *self.columns, *self.tags, *self.errors, *self.notices, self.copied.decode("utf8", "replace")]
        if self.denial is not None:
            parts += [self.denial.message, self.denial.detail or "", self.denial.hint or ""]
        return "\n".join(parts)

    def leak(self, marker: str = corpus.MARKER) -> str | None:
        """Where a foreign marker is visible, with what surrounds it."""
        text = self.visible()
        found = re.search(marker, text, re.S)
        return None if found is None else text[max(0, found.start() - 40) : found.end() + 40]


class CompiledSession:
    """One connection as the backend role; each case runs in a transaction that is rolled back."""

    def __init__(self, conninfo: str, access: Access, catalog: Catalog) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True)
        self.access = access
        self.catalog = catalog
        self._notices: list[str] = []
        self.connection.add_notice_handler(self._note)
        self.connection.execute(SESSION)

    def close(self) -> None:
        self.connection.close()

    def run(self, text: str) -> Outcome:
        """Compile and run one query string within the open transaction."""
        compiled = compile_query(text, self.access, self.catalog)
        outcome = Outcome(compiled)
        if compiled.denial is not None:
            return outcome
        shape = shape_of(text) if compiled.by_shape else None
        literals = shape.literals if shape is not None else ()
        self._notices.clear()
        for plan in compiled.plans:
            sql = render(plan, slot_values(), literals)
            outcome.sent.append(sql)
            if not self._send(sql, outcome):
                break
        outcome.notices = list(self._notices)
        return outcome

    def foreign_state(self) -> dict[str, tuple[Any, ...]]:
        """Count and digest of every row that is not acme's, as this transaction sees them."""
        return dict(self._digests())

    def _digests(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for table, column in FOREIGN:
            row = self.connection.execute(
                # record_send: the same bytes whatever the session's TimeZone, DateStyle or float settings
                "SELECT count(*), md5(coalesce(string_agg(encode(record_send(x), 'hex'), ''"
                " ORDER BY record_send(x)), ''))"
                f" FROM public.{table} x WHERE {column} IS DISTINCT FROM 'acme'"
            ).fetchone()
            assert row is not None
            yield table, row

    def _send(self, sql: str, outcome: Outcome) -> bool:
        """Run one statement by simple protocol; False when it failed."""
        pgconn = self.connection.pgconn
        pgconn.send_query(sql.encode())
        ok = True
        while (result := pgconn.get_result()) is not None:
            match result.status:
                case ExecStatus.COPY_IN:
                    pgconn.put_copy_end(b"no data")
                case ExecStatus.COPY_OUT:
                    while (chunk := pgconn.get_copy_data(0))[0] > 0:
                        outcome.copied += bytes(chunk[1])
                case ExecStatus.FATAL_ERROR:
                    outcome.errors.append(result.error_message.decode("utf8", "replace"))
                    ok = False
                case _:
                    _add_rows(result, outcome)
        return ok

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        self._notices.append("\n".join(filter(None, (diagnostic.message_primary, diagnostic.message_detail))))

    @property
    def in_transaction(self) -> bool:
        return self.connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def failed(self) -> bool:
        return self.connection.pgconn.transaction_status == TransactionStatus.INERROR


def _add_rows(result: Any, outcome: Outcome) -> None:
    outcome.tags.append((result.command_status or b"").decode())
    outcome.columns += [result.fname(i).decode("utf8", "replace") for i in range(result.nfields)]
    for number in range(result.ntuples):
        values = (result.get_value(number, column) for column in range(result.nfields))
        outcome.rows.append([None if value is None else value.decode("utf8", "replace") for value in values])
