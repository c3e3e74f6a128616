"""How an entry's steps are run, and what is looked at afterwards.

A step is `{session: SQL}` or `{session: [messages]}`; a message is a list of its tag and its fields:
[Q, sql] [P, name, sql, oid…] [B, portal, statement, value…] [D, S or P, name] [E, portal, rows] [C, S or P, name] [S]
[H] [d, data] [c] [f, reason] [F, hex] [raw, hex]. ["cancel", session] as a step's only message sends a CancelRequest.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.postgres.wire import messages
from tests.harness.wire_client import FLUSH, SYNC, Answer, WireClient, bind, close, describe, execute, parse

MARKER = re.compile("GLOBEX-SECRET")
MASKED = re.compile("4000-[0-9]")  # what the analyst `ana` may not see
Connect = Callable[[str], WireClient]

_MESSAGES: dict[str, Callable[..., bytes]] = {
    "Q": lambda sql: messages.encode_query(str(sql).encode()),
    "P": parse,
    "B": lambda portal, statement, *values: bind(portal, statement, *(None if v is None else str(v) for v in values)),
    "D": describe,
    "E": execute,
    "C": close,
    "S": lambda: SYNC,
    "H": lambda: FLUSH,
    "d": lambda data: messages.encode_copy_data(str(data).encode()),
    "c": lambda: messages.COPY_DONE,
    "f": lambda reason: messages.encode(b"f", str(reason).encode() + b"\0"),
    "F": lambda body: messages.encode(b"F", bytes.fromhex(body)),
    "raw": bytes.fromhex,
}


@dataclass
class Outcome:
    """What the sessions saw, in order."""

    answers: list[tuple[str, Answer]] = field(default_factory=list)

    @property
    def last(self) -> Answer:
        return self.answers[-1][1]

    def seen_by(self, *, analyst: bool) -> str:
        """All that came to a session which is not globex's, or to the analyst's only."""
        return "\n".join(
            message.decode("utf-8", "replace")
            for who, answer in self.answers
            if (who.startswith("ana") if analyst else not who.startswith("globex"))
            for _, message in answer.messages
        )


def run(steps: list[Mapping[str, Any]], connect: Connect) -> Outcome:
    """Run all steps; sessions are opened when they are first named."""
    sessions: dict[str, WireClient] = {}
    outcome = Outcome()
    try:
        for step in steps:
            ((who, what),) = step.items()
            if who not in sessions:
                sessions[who] = connect(who)
            outcome.answers.append((who, _do(sessions, who, what)))
    finally:
        for session in sessions.values():
            session.close()
    return outcome


def _do(sessions: dict[str, WireClient], who: str, what: Any) -> Answer:
    session = sessions[who]
    if isinstance(what, str):
        return session.query(what)
    if what[0][0] == "cancel":
        _cancel(sessions, what[0][1], session)
        return Answer()
    ready = sum(message[0] in ("Q", "S") for message in what)
    session.send(*(_MESSAGES[message[0]](*message[1:]) for message in what))
    if any(message[0] == "raw" for message in what):
        return session.receive(ready=99, timeout_s=1.0)
    return session.receive(ready=ready) if ready else Answer()


def _cancel(sessions: dict[str, WireClient], of: str, by: WireClient) -> None:
    pid, key = sessions[of].key
    with WireClient(by.sock.getpeername()[1]) as canceller:
        canceller.send(struct.pack("!III", 12 + len(key), 80877102, pid) + key)


def problem(entry: Mapping[str, Any], outcome: Outcome, before: object, after: object) -> str | None:
    """What is wrong with an outcome, or None."""
    for marker, text in ((MARKER, outcome.seen_by(analyst=False)), (MASKED, outcome.seen_by(analyst=True))):
        found = marker.search(text)
        if found:
            return f"LEAK …{text[max(0, found.start() - 80) : found.end() + 20]}…"
    if before != after:
        return f"CHANGED: {before} {after}"
    refused = entry.get("refused")
    if refused is not None:
        states = str(refused).split()
        if not outcome.last.sqlstates or not set(outcome.last.sqlstates) <= set(states):
            return f"NOT REFUSED with {refused}: {outcome.last.sqlstates} {outcome.last.rows}"
    if "rows" in entry and outcome.last.rows != entry["rows"]:
        return f"ROWS {outcome.last.rows} {outcome.last.errors}"
    if "rows" in entry and outcome.last.errors:
        return f"ERRORS {outcome.last.errors}"
    return None
