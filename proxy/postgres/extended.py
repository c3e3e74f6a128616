"""The extended query protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync, pipelined as the client likes.

A client's statement is known to backends under a shared name (statements.py). A Parse of a text that the backend has
already is answered here; a Bind of one that it lacks is preceded by a Parse of ours. Messages are named as in the
protocol ("Extended Query", PostgreSQL documentation chapter 55).
"""

from __future__ import annotations

from typing import Final

from policy.errors import InvalidStatement, StatementRefused, TenantGateError, UnsupportedStatement
from policy.sql.plan import StatementKind
from proxy.errors import RemoteProtocolError
from proxy.lease import Lease
from proxy.postgres import expected
from proxy.postgres.conversation import FAILED, IDLE, REFUSALS, Conversation, Equipment
from proxy.postgres.errors import ResultsChanged, error_reply
from proxy.postgres.expected import EXPECT_SYNC, Expected, Running
from proxy.postgres.held import Wait
from proxy.postgres.parameter_types import check_declared_types
from proxy.postgres.portals import cursor
from proxy.postgres.prepared import ANY_GENERATION, Prepared
from proxy.postgres.reserved_names import COPY_NAME, FAILING_BIND, FILL_NAME, SHARED_PREFIX, STAGE_NAME
from proxy.postgres.settings import SessionSettings
from proxy.postgres.statements import MAX_SHARED_BYTES, SharedStatement, private_statement
from proxy.postgres.wire import messages, replies
from proxy.session import Session, Template

_MAX_KNOWN_PARSES: Final = 64
_MAX_KNOWN_BYTES: Final = 4096
_UNNAMED_ALL: Final = messages.Execute(b"", 0)
_DESCRIBE_UNNAMED_PORTAL: Final = messages.encode(b"D", b"P\0")
_EXPECT_UNNAMED: Final = Expected(expected.DESCRIBE, again=_DESCRIBE_UNNAMED_PORTAL)
_EXECUTE_UNNAMED: Final = messages.encode(b"E", b"\0\0\0\0\0")
_COPY_IN: Final = StatementKind.COPY_IN
_STATEMENT: Final = ord("S")
_SHARED_PREFIX: Final = SHARED_PREFIX.encode()


class KnownParse:
    """A Parse that was judged. `generation`: of that policy."""

    __slots__ = ("generation", "name", "prepared")

    def __init__(self, name: bytes, prepared: Prepared, generation: int) -> None:
        self.name = name
        self.prepared = prepared
        self.generation = generation


class ExtendedConversation(Conversation):
    """The handlers of extended messages. `_began_in`: the request that bound or executed something last; `_healed`: the
    one that was sent again."""

    __slots__ = ("_began_in", "_healed", "_parses")

    def __init__(self, session: Session, lease: Lease, settings: SessionSettings, equipment: Equipment) -> None:
        super().__init__(session, lease, settings, equipment)
        self._parses: dict[bytes, KnownParse] = {}
        self._began_in = self._healed = -1

    # Parse

    def _on_parse(self, message: bytes) -> None:
        known = None if self._encoding_open else self._parses.get(message)
        if known is None or known.generation != self.recorder.generation():
            known = self._parse(message)
            if known is None:
                return
        if not self._has_backend(message):
            return
        name, prepared = known.name, known.prepared
        if name and self._statements.announced_before(name, self._request):
            self._wait_with(message, Wait.ANSWERS)
            return
        try:
            if name:
                self._check_free(name)
            self._statements.announce(name, prepared, self._request)
        except StatementRefused as error:
            self._fail(error, prepared.text, prepared.template)
            return
        if not prepared.template.plain:
            self._make_real(prepared.template)
        self._in_request = True
        prepared.told = None
        if self._own_path:
            prepared.shared = None
        self._send_parse(name, prepared)

    def _check_free(self, name: bytes) -> None:
        """Raises InvalidStatement (42P05) for a name that is taken, or the gateway's own."""
        if name.startswith(_SHARED_PREFIX):
            raise InvalidStatement("prepared statement name is reserved", sqlstate="42P05")
        if self._statements.is_taken(name) or self._sql_prepared.has(name.decode("utf-8", "replace")):
            shown = name.decode("utf-8", "replace")
            raise InvalidStatement(f'prepared statement "{shown}" already exists', sqlstate="42P05")

    def _parse(self, message: bytes) -> KnownParse | None:
        """Judge a Parse; drivers send the same one again and again, so it is kept. None: it was refused."""
        name, query, types = messages.decode_parse(message)
        text, template = query.decode("utf-8", "replace"), None
        try:
            if self._encoding_open and self._must_settle(query, message):
                return None
            text = self._judge.decode(query)
            if self._judge.is_costly(text) and self._compile_ahead(text, message):
                return None
            template, literals = self._judge.judge(text)
            prepared = self._prepare(text, types, template, literals)
            self._check_encoding(prepared)
        except REFUSALS as error:
            if not name:
                self._statements.forget(name)
            self._fail(error, text, template)
            return None
        known = KnownParse(name, prepared, prepared.generation)
        if len(message) <= _MAX_KNOWN_BYTES:
            if len(self._parses) >= _MAX_KNOWN_PARSES:
                self._parses.clear()
            self._parses[message] = known
        return known

    def _prepare(self, text: str, types: bytes, template: Template, literals: tuple[str, ...]) -> Prepared:
        denial = template.compiled.denial
        if denial is not None:
            raise denial.fresh()
        if len(template.compiled.plans) > 1:
            raise InvalidStatement("cannot insert multiple commands into a prepared statement")
        if template.first is not None and not self.verbatim_errors:
            check_declared_types(template.first, types)
        return Prepared(text, types, template, literals, self.session.generation)

    def _send_parse(self, name: bytes, prepared: Prepared) -> None:
        """Have the backend know the statement; the client gets a ParseComplete when its turn comes."""
        shared = self._shared(name, prepared)
        backend = self.backend
        assert backend is not None
        if shared is None:
            self._unnamed = prepared
            self.queue.append(Expected(expected.PARSE, name=name, prepared=prepared))
            self._out.append(messages.encode_parse(b"", self._judge.encode(prepared.parsed), prepared.types))
        elif not backend.statements.has(shared.name, self._request):
            self._close_on_backend(backend.statements.add(shared.name, self._request))
            self.queue.append(Expected(expected.PARSE, name=name, prepared=prepared, shared=shared))
            self._out.append(shared.parse_in(self._judge.codec))
        elif self.status == FAILED:  # nothing is prepared now: the target says so, or that it is a ROLLBACK
            self._unnamed = None
            self.queue.append(Expected(expected.PARSE, name=name, prepared=prepared))
            self._out.append(messages.encode_parse(b"", self._judge.encode(prepared.parsed), prepared.types))
        else:
            self._simulate(Expected(expected.SIMULATED, name=name, prepared=prepared, reply=replies.PARSE_COMPLETE))

    def _shared(self, name: bytes, prepared: Prepared) -> SharedStatement | None:
        """What backends know it as. An unnamed statement gets a shared name the second time that it is seen. Under a
        search_path of its own a session shares none."""
        if prepared.template.live:
            return None
        shared = prepared.shared
        if shared is not None and not shared.retired:
            return shared
        text = prepared.parsed
        if self._own_path:
            shared = private_statement(text, prepared.types) if name else None
        elif name and len(text) > MAX_SHARED_BYTES:
            shared = private_statement(text, prepared.types)
        elif name or shared is not None:
            shared = self.book.statement(text, prepared.types)
        else:
            shared = self.book.statement_seen_before(text, prepared.types)
        prepared.shared = shared
        return shared

    def _close_on_backend(self, names: list[bytes]) -> None:
        for each in names:
            self.queue.append(expected.SWALLOW_CLOSE)
            self._out.append(messages.encode_close_statement(each))

    def _simulate(self, entry: Expected) -> None:
        """An answer that no backend gives: now, or when those before it have come."""
        if self.queue:
            self.queue.append(entry)
        else:
            self.client_write(entry.reply)
            if entry.name is not None:
                self.parse_ended(entry, True)

    def parse_ended(self, entry: Expected, done: bool) -> None:
        """A Parse, Close or Bind was answered or skipped."""
        if entry.kind == expected.PARSE and entry.shared is not None and self.backend is not None:
            if done:
                self.backend.statements.confirm(entry.shared.name, self._answered)
            else:
                self.backend.statements.remove(entry.shared.name, self._answered)
        if entry.name is None:
            return
        if entry.kind == expected.BIND:
            self._portals.fail(entry.name, self._answered)
        elif done:
            self._statements.confirm(entry.name, entry.prepared, self._answered)
        else:
            self._statements.withdraw(entry.name, entry.prepared, self._answered)

    def statement_stale(self, statement: SharedStatement) -> None:
        """The target does not run it any more as it was prepared: it is prepared anew the next time."""
        self.book.retire(statement)
        if self.backend is not None:
            self.backend.statements.remove(statement.name)

    def heal(self, entry: Expected) -> bool:
        """The target found a statement stale before it ran. Whether its request is handled again, unseen: it is the
        only one under way, and neither it nor a transaction around it has run anything yet."""
        request = self._request - 1
        if not entry.again or self.status != IDLE or self._healed == request or self._in_request:
            return False
        if self.wait != Wait.NOTHING or len(self._held) or self.queue[-1].kind != expected.SYNC:
            return False
        again = list(self.queue)[:-1]
        if not all(each.again for each in again) or sum(isinstance(each, Running) for each in again) > 1:
            return False
        self._healed = self._request = request
        self.queue.clear()
        self.queue.append(expected.SWALLOW_PREFIX)
        for each in again:
            if isinstance(each, Running):
                self._running -= 1
                self.session.usage.end_statement()
                self._readmitted = True
                self._request_again = each.request
            elif each.kind == expected.BIND:
                self.parse_ended(each, False)
            self._held.append(each.again[0], each.again)
        self._held.append(messages.SYNC[0], messages.SYNC)
        self.wait = Wait.SETTLED
        return True

    # Bind, Describe, Execute, Close

    def _on_bind(self, message: bytes) -> None:
        portal, name = messages.decode_bind(message)
        if self._statements.announced_before(name, self._request):
            self._wait_with(message, Wait.ANSWERS)
            return
        if not self._has_backend(message):
            return
        prepared: Prepared | None = None
        try:
            prepared = self._statements.find(name)
            if prepared.generation != self.recorder.generation():
                if self._judge.is_costly(prepared.text) and self._compile_ahead(prepared.text, message):
                    return
                prepared = self._prepare_again(name, prepared)
            self._check_encoding(prepared)
            if prepared.told is not None and not self._returns_what_was_told(name, prepared):
                self._wait_with(message, Wait.SETTLED)
                return
            self._portals.bind(portal, prepared, self._request, self.recorder.bound(message, prepared))
        except REFUSALS as error:
            self._fail(error, prepared.text if prepared else "", prepared.template if prepared else None)
            return
        if not prepared.template.plain:
            self._make_real(prepared.template)
            if prepared.template.live:  # it is another text now
                prepared.sent = prepared.template.text(prepared.literals)
                self._unnamed = None
        known_as = self._ensure(name, prepared)
        self._in_request = True
        again = message if self._began_in != self._request else b""
        self._began_in = self._request
        self.queue.append(Expected(expected.BIND, name=portal, prepared=prepared, shared=prepared.shared, again=again))
        self._out.append(message if known_as == name else messages.with_statement_name(message, portal, name, known_as))

    def _ensure(self, name: bytes, prepared: Prepared) -> bytes:
        """The backend knows the statement, or is told of it, unseen; the name that it has there."""
        backend, shared = self.backend, prepared.shared
        assert backend is not None
        if shared is None:
            if self._unnamed is not prepared:
                self._unnamed = prepared
                self.queue.append(Expected(expected.PARSE, forward=False, prepared=prepared))
                self._out.append(messages.encode_parse(b"", self._judge.encode(prepared.parsed), prepared.types))
            return b""
        if shared.retired:
            shared = self._shared(name or b"?", prepared)
            assert shared is not None
        if not backend.statements.has(shared.name, self._request):
            self._close_on_backend(backend.statements.add(shared.name, self._request))
            self.queue.append(Expected(expected.PARSE, forward=False, prepared=prepared, shared=shared))
            self._out.append(shared.parse_in(self._judge.codec))
        return shared.name

    def _returns_what_was_told(self, name: bytes, prepared: Prepared) -> bool:
        """Whether results are as the client knows them; a target fails a statement that has come to return others, but
        only one that it had before. False: the target is being asked. Raises InvalidStatement (0A000)."""
        shared = prepared.shared
        if self.altered and shared is not None and shared not in self._for_now:
            shared = prepared.shared = private_statement(prepared.parsed, prepared.types)
            self._for_now.append(shared)
        if shared is None or (shared is prepared.told_of and not shared.retired) or self.status == FAILED:
            return True
        if shared.retired:
            shared = self._shared(name or b"?", prepared)
            assert shared is not None
        assert prepared.told is not None
        if not shared.described:
            self._ensure(name, prepared)
            self._in_request = True
            self.queue.append(Expected(expected.DESCRIBE, forward=False, shared=shared))
            self._out.append(messages.encode(b"D", b"S" + shared.name + b"\0") + messages.FLUSH)
            return False
        if not replies.same_results(prepared.told, shared.row_description):
            raise ResultsChanged
        prepared.told_of = shared
        return True

    def _check_encoding(self, prepared: Prepared) -> None:
        """Raises InvalidStatement (22P05) for a text that cannot be sent in the client's encoding of now."""
        if self._judge.codec is not None:
            self._judge.encode(prepared.sent)

    def _prepare_again(self, name: bytes, prepared: Prepared) -> Prepared:
        """Policy or catalog changed: judge the statement anew; when it became another, that is what runs."""
        again = self._prepare(prepared.text, prepared.types, *self._judge.judge(prepared.text))
        announced = self._statements.is_announced(name)
        again.told, again.told_of = prepared.told, prepared.told_of
        if again.sent == prepared.sent:
            again.shared = prepared.shared
            if self._unnamed is prepared:
                self._unnamed = again
        elif announced:
            raise InvalidStatement("the policy changed meanwhile", sqlstate="26000", hint="Prepare it again.")
        if not announced:
            self._statements.replace(name, again)
        self._shared(name, again)
        return again

    def _on_describe(self, message: bytes) -> None:
        if message == _DESCRIBE_UNNAMED_PORTAL:
            if self._has_backend(message):
                self._in_request = True
                self.queue.append(_EXPECT_UNNAMED)
                self._out.append(message)
            return
        kind, name = messages.decode_target(message, "Describe")
        if kind == _STATEMENT and self._statements.announced_before(name, self._request):
            self._wait_with(message, Wait.ANSWERS)
            return
        if not self._has_backend(message):
            return
        if kind == _STATEMENT:
            try:
                prepared = self._statements.find(name)
                self._check_encoding(prepared)
            except REFUSALS as error:
                self._fail(error, "", None)
                return
            again = message if self._began_in != self._request else b""
            message = messages.encode(b"D", b"S" + self._ensure(name, prepared) + b"\0")
            self.queue.append(Expected(expected.DESCRIBE, prepared=prepared, shared=prepared.shared, again=again))
        else:
            self.queue.append(Expected(expected.DESCRIBE, again=message))
        self._in_request = True
        self._out.append(message)

    def _on_execute(self, message: bytes) -> None:
        name, max_rows = _UNNAMED_ALL if message == _EXECUTE_UNNAMED else messages.decode_execute(message)
        portal, request, bound = self._portals.find(name)
        if portal is None:
            portal = cursor(name)
        elif request != self._request and self._answered != self._request:
            self._wait_with(message, Wait.ANSWERS)
            return
        if not self._has_backend(message):
            return
        try:
            self._judge.follow_policy()
            if portal.generation not in (self.session.generation, ANY_GENERATION):
                if self._judge.is_costly(portal.text) and self._compile_ahead(portal.text, message):
                    return
                self._check_unchanged(portal)
            if not portal.template.plain:
                self._check_special(portal.template)
                self._check_portions(portal, max_rows)
                self._check_encoding(portal)
            self._admit(portal.template)
        except REFUSALS as error:
            self._fail(error, portal.text, portal.template)
            return
        plan = portal.template.first
        self._in_request = True
        if plan is not None and plan.kind is _COPY_IN:
            self._execute_copy(portal)
            return
        running = self._begin(expected.EXECUTE, portal.template, portal.literals, portal.text, bound)
        running.again = message
        self._began_in = self._request
        running.max_rows = max(max_rows, 0)
        running.shared = portal.shared
        self._out.append(message)

    def _execute_copy(self, copy: Prepared) -> None:
        """Run a COPY FROM under a name of our own: its data are stamped by the very plan that asks for them.

        Whatever the client made of its own names, by protocol or by SQL, no other COPY can take its place.
        """
        stages = copy.template.stages
        if stages:
            create, _, insert, drop = stages
            self._bind_own(STAGE_NAME, create, copy)
            self.queue.append(Expected(expected.EXECUTE, forward=False, prepared=copy))
            self._out.append(messages.encode_execute(STAGE_NAME))
            self._bind_own(FILL_NAME, insert, copy)
            self._bind_own(STAGE_NAME, drop, copy)
        self._bind_own(COPY_NAME, copy.parsed, copy)
        running = self._begin(expected.EXECUTE, copy.template, copy.literals, copy.text)
        running.own_copy = True
        running.stage = 1 if stages else 0
        self._out.append(messages.encode_execute(COPY_NAME))

    def _bind_own(self, name: bytes, text: str, copy: Prepared) -> None:
        """A statement and a portal of our own, in place of those before."""
        self.queue.extend((expected.SWALLOW_CLOSE, expected.SWALLOW_CLOSE))
        self.queue.append(Expected(expected.PARSE, forward=False, prepared=copy))
        self.queue.append(Expected(expected.BIND, forward=False, prepared=copy))
        self._out += (
            messages.encode_close_statement(name),
            messages.encode_close_portal(name),
            messages.encode_parse(name, self._judge.encode(text)),
            messages.encode_bind_nothing(name, name),
        )

    def _check_special(self, template: Template) -> None:
        """FETCH of SQL may name a portal that the protocol bound, under an older policy."""
        super()._check_special(template)
        for plan in template.compiled.plans:
            if plan.session_action[:1] == ("fetch",):
                portal = self._portals.find(plan.session_action[1].encode())[0]
                if portal is not None and portal.generation not in (self.session.generation, ANY_GENERATION):
                    self._check_unchanged(portal)

    def _check_portions(self, portal: Prepared, max_rows: int) -> None:
        """Raises UnsupportedStatement for a part of a result whose bytes a policy counts as a whole."""
        first = portal.template.first
        if max_rows > 0 and first is not None and first.byte_limit:
            raise UnsupportedStatement(
                "a result whose size is limited by policy is fetched at once",
                hint="Set no fetch size, or add a LIMIT to the query.",
            )

    def _check_unchanged(self, portal: Prepared) -> None:
        """A portal that was bound under an older policy goes on if that statement would still be sent as it was."""
        if not self._still_becomes(portal.text, portal.sent):
            raise InvalidStatement(
                "the portal was opened under an older policy", sqlstate="34000", hint="Run the statement again."
            )

    def _on_close(self, message: bytes) -> None:
        kind, name = messages.decode_target(message, "Close")
        if not self._has_backend(message):
            return
        self._in_request = True
        if kind == _STATEMENT:
            if self.pinned:  # it may be there under this very name
                self._real_names.pop(name, None)
                self._close_on_backend([name])
            self._statements.announce(name, None, self._request)
            self._simulate(Expected(expected.SIMULATED, name=name, reply=replies.CLOSE_COMPLETE))
        else:
            self._portals.drop(name)
            self.queue.append(expected.EXPECT_CLOSE)
            self._out.append(message)

    # The end of a request

    def _on_flush(self, message: bytes) -> None:
        if message != messages.FLUSH:
            raise RemoteProtocolError("invalid message format in Flush")
        if self.backend is not None:
            self._out.append(message)

    def _on_sync(self, message: bytes) -> None:
        if message != messages.SYNC:
            raise RemoteProtocolError("invalid message format in Sync")
        self.skipping = self._in_request = False
        if self.backend is None:
            self.client_write(replies.READY_IDLE)
            return
        self._request += 1
        self.queue.append(EXPECT_SYNC)
        self._out.append(message)
        if self._settle_next:
            self._settle_next = False
            self.wait = Wait.SETTLED

    def _fail(self, error: TenantGateError, text: str, template: Template | None) -> None:
        """Refuse a message of an extended request: the target fails in its place and skips to Sync, and so do we.

        Without a backend nothing is under way and no transaction is open: the answer is given here.
        """
        self._record_refusal(error, text, template, "extended")
        self._in_request = self.skipping = True
        if self.backend is None:
            self.client_write(error_reply(error, codec=self._judge.codec))
            return
        self.queue.append(Expected(expected.REFUSED, error=error))
        self._out.append(FAILING_BIND)
