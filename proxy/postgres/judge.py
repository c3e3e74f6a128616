"""Texts of one session to what they become under the policy of now; long ones are compiled off the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.plan import CompiledQuery
from policy.sql.shape import ShapeMatcher, matcher_of
from proxy.plans.ahead import AHEAD_CHARACTERS, CompileAhead
from proxy.plans.cache import MAX_KEPT_CHARACTERS, NO_LITERALS, PlanScope
from proxy.postgres.encodings import decode_text, encode_text
from proxy.session import Session, Template

_TELLING_CHARACTERS: Final = 32
_MAX_KNOWN: Final = 64


class KnownText:
    """A statement that the session has sent, and how others like it are told by their text alone."""

    __slots__ = ("_exact", "_matcher", "_tried", "template")

    def __init__(self, template: Template) -> None:
        self.template = template
        self._tried = False
        self._exact: str | None = None
        self._matcher: ShapeMatcher | None = None

    def literals(self, text: str) -> tuple[str, ...] | None:
        """The literals of `text` if it is such a statement, None when that needs a closer look."""
        if self._matcher is not None:
            return self._matcher.match(text)
        return NO_LITERALS if text == self._exact else None

    def recognise(self, text: str, by_shape: bool) -> None:
        """It came again."""
        if self._tried:
            return
        self._tried = True
        if by_shape:
            self._matcher = matcher_of(text)
        if self._matcher is None and self.template.literals is None and len(text) <= MAX_KEPT_CHARACTERS:
            self._exact = text


class Judge:
    """Lifetime: its session. `refresh` brings the session under the newest policy, or ends it by raising."""

    __slots__ = (
        "_ahead",
        "_clock",
        "_generation",
        "_known",
        "_known_generation",
        "_ready",
        "_refresh",
        "_session",
        "codec",
        "max_query_bytes",
    )

    def __init__(
        self,
        session: Session,
        refresh: Callable[[Session], None],
        generation: Callable[[], int],
        ahead: CompileAhead,
        max_query_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._refresh = refresh
        self._generation = generation
        self._ahead = ahead
        self._clock = clock
        self._known: dict[str, KnownText] = {}  # by the first characters of the text
        self._known_generation = -1
        self._ready: tuple[PlanScope, str, CompiledQuery | None] | None = None  # what was compiled off the loop
        self.max_query_bytes = max_query_bytes
        self.codec: str | None = None  # of the client's texts; None: UTF-8

    def decode(self, body: bytes) -> str:
        """The text of a query string. Raises UnsupportedStatement (54000) or InvalidStatement (22021)."""
        if len(body) > self.max_query_bytes:
            raise UnsupportedStatement(
                f"query string of {len(body)} bytes is longer than {self.max_query_bytes}",
                sqlstate="54000",
                hint="Send less at once, use parameters or COPY, or raise limits.max_query_bytes.",
            )
        if self.codec is not None:
            return decode_text(body, self.codec)
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise InvalidStatement(
                "query string is not UTF-8", sqlstate="22021", hint="Set client_encoding to UTF8."
            ) from None

    def encode(self, text: str) -> bytes:
        """A text for the target. Raises InvalidStatement (22P05) when the client's encoding cannot say it."""
        return text.encode() if self.codec is None else encode_text(text, self.codec)

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
        known = self._known.get(text[:_TELLING_CHARACTERS]) if self._known_generation == session.generation else None
        if known is not None and (literals := known.literals(text)) is not None:
            scope.hits += 1
            return known.template, literals
        if ready is not None and ready[0] is scope and ready[1] == text and ready[2] is not None:
            return Template(ready[2], session.values), ()
        misses = scope.misses
        compiled, literals = scope.plan(text)
        if scope.misses != misses:
            session.usage.compiling.spend(scope.last_s, self._clock())
        template = session.template(compiled)
        self._remember(known, template, compiled.by_shape, text)
        return template, literals

    def forget(self) -> None:
        """What the last statements were."""
        self._known.clear()

    def _remember(self, known: KnownText | None, template: Template, by_shape: bool, text: str) -> None:
        """Sessions send the same few statements again and again: from the second time on they need no scan."""
        if self._known_generation != self._session.generation or len(self._known) >= _MAX_KNOWN:
            self._known_generation = self._session.generation
            self._known.clear()
        if known is not None and known.template is template:
            known.recognise(text, by_shape)
        else:
            self._known[text[:_TELLING_CHARACTERS]] = KnownText(template)

    def is_costly(self, text: str) -> bool:
        """Whether compiling it on the loop could be felt by others: it is long, or its tenant has had its share."""
        compiling = self._session.usage.compiling
        return len(text) > AHEAD_CHARACTERS or (compiling.is_spent and not compiling.has_recovered(self._clock()))

    def is_ready(self, text: str) -> bool:
        """Whether `judge` costs the loop next to nothing, or no more than the tenant may cost it."""
        if not self.is_costly(text):
            return True
        self.follow_policy()
        scope = self._session.scope
        return scope is not None and scope.has(text)

    def compile_ahead(self, text: str, now: float, wanted: Callable[[], bool], done: Callable[[], None]) -> bool:
        """Have a text compiled off the loop; `done` is called when `judge` can be asked. False: it can at once.

        Raises QuotaExceeded: a long one counts as a statement of its own.
        """
        self.follow_policy()
        session = self._session
        scope, ready = session.scope, self._ready
        assert scope is not None
        if (ready is not None and ready[0] is scope and ready[1] == text) or scope.has(text):
            return False
        if len(text) > AHEAD_CHARACTERS:
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
