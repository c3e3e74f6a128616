"""Texts of one session to what they become under the policy of now; long ones are compiled off the event loop."""

from __future__ import annotations

from collections.abc import Callable

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.plan import CompiledQuery
from proxy.plans.ahead import CompileAhead
from proxy.plans.cache import PlanScope
from proxy.session import Session, Template


class Judge:
    """Lifetime: its session. `refresh` brings the session under the newest policy, or ends it by raising."""

    __slots__ = ("_ahead", "_generation", "_ready", "_refresh", "_session", "max_query_bytes")

    def __init__(
        self,
        session: Session,
        refresh: Callable[[Session], None],
        generation: Callable[[], int],
        ahead: CompileAhead,
        max_query_bytes: int,
    ) -> None:
        self._session = session
        self._refresh = refresh
        self._generation = generation
        self._ahead = ahead
        self._ready: tuple[PlanScope, str, CompiledQuery | None] | None = None  # what was compiled off the loop
        self.max_query_bytes = max_query_bytes

    def decode(self, body: bytes) -> str:
        """The text of a query string. Raises UnsupportedStatement (54000) or InvalidStatement (22021)."""
        if len(body) > self.max_query_bytes:
            raise UnsupportedStatement(
                f"query string of {len(body)} bytes is longer than {self.max_query_bytes}",
                sqlstate="54000",
                hint="Send less at once, use parameters or COPY, or raise limits.max_query_bytes.",
            )
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise InvalidStatement(
                "query string is not UTF-8", sqlstate="22021", hint="Set client_encoding to UTF8."
            ) from None

    def follow_policy(self) -> None:
        """Bring the session under the policy of now."""
        if self._session.generation != self._generation():
            self._refresh(self._session)

    def judge(self, text: str) -> tuple[Template, tuple[str, ...]]:
        """What `text` becomes for this session, and the client's literals to render it with."""
        session = self._session
        if session.generation != self._generation():
            self._refresh(session)
        scope, ready = session.scope, self._ready
        assert scope is not None
        if ready is not None and ready[0] is scope and ready[1] == text and ready[2] is not None:
            return Template(ready[2], session.values), ()
        compiled, literals = scope.plan(text)
        return session.template(compiled), literals

    def compile_ahead(self, text: str, now: float, wanted: Callable[[], bool], done: Callable[[], None]) -> bool:
        """Have a long text compiled off the loop; `done` is called when `judge` can be asked. False: it can at once.

        Raises QuotaExceeded: the work counts as a statement of its own.
        """
        self.follow_policy()
        session = self._session
        scope, ready = session.scope, self._ready
        assert scope is not None
        if (ready is not None and ready[0] is scope and ready[1] == text) or scope.has(text):
            return False
        session.usage.admit_statement(now, pipelined=True)

        def compiled(result: CompiledQuery) -> None:
            scope.keep(text, result)
            self._ready = (scope, text, None if result.by_shape else result)
            try:
                done()
            finally:
                self._ready = None

        self._ahead.submit(session.tenant.id, scope, text, wanted, compiled)
        return True
