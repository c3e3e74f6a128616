"""Encrypts the texts of audit events before they are chained: statement, rewritten statement and parameters.

What is hashed is the ciphertext, so a key may be shredded (text_keys.py) and the chain verifies as before. A text
becomes `enc1:KEY:BASE64`: the key's id, then nonce (12 bytes), ciphertext and tag of AES-256-GCM, with the member's
name authenticated. Texts are cut first where the result would be longer than a line keeps.
"""

from __future__ import annotations

import base64
import errno
import json
import secrets
import sqlite3
from collections.abc import Sequence
from json.encoder import encode_basestring as _quote
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from policy.audit_event import AuditEvent
from proxy.audit.chain import MAX_TEXT_BYTES
from proxy.audit.parameters import Bound
from proxy.audit.statement import StatementEvent
from proxy.audit.text_keys import TextKey, TextKeys
from proxy.config import AuditConfig

MARK: Final = "enc1:"
ERASED: Final = "(erased: its key was shredded)"
_MEMBERS: Final = ("statement", "rewritten")
_MAX_PLAIN_BYTES: Final = (MAX_TEXT_BYTES - 64) * 3 // 4 - 28
_MAX_KEPT: Final = 10_000
_LABEL: Final = b"tenantgate audit text 1\n"


class Concealer:
    """One per emitter. by_subject: a key for each user of a tenant, else one for each tenant."""

    __slots__ = ("_by_subject", "_count", "_kept", "_keys", "_prefix", "_version")

    def __init__(self, keys: TextKeys, *, by_subject: bool) -> None:
        self._keys = keys
        self._by_subject = by_subject
        self._kept: dict[tuple[str, str] | str, TextKey] = {}
        self._version = keys.version
        self._prefix, self._count = (
            secrets.token_bytes(6),
            0,
        )  # nonces: no two are the same, within and across processes

    def conceal(self, events: Sequence[AuditEvent | StatementEvent]) -> list[AuditEvent | StatementEvent]:
        """The events with their texts encrypted. Raises OSError and sqlite3.Error: then none may be written."""
        version = self._keys.version
        if version != self._version or len(self._kept) > _MAX_KEPT:
            self._kept.clear()  # a key may have been shredded: the next text must not go under it
            self._version = version
        return [self._of_run(e) if isinstance(e, StatementEvent) else self._of_event(e) for e in events]

    def _of_event(self, event: AuditEvent) -> AuditEvent:
        if not (event.statement or event.rewritten or event.parameters):
            return event
        key = self._key(event.tenant, event.subject)
        parameters = f"[{','.join(event.parameters)}]" if event.parameters else ""
        return event._replace(
            statement=self._text(key, "statement", event.statement),
            rewritten=self._text(key, "rewritten", event.rewritten),
            parameters=(_quote(self._text(key, "parameters", parameters)),) if parameters else (),
        )

    def _of_run(self, event: StatementEvent) -> StatementEvent:
        key = self._key_of_frame(event.frame.after_statement)
        bound = None
        if event.bound is not None:
            bound = Bound(b"", b"", None)
            bound.encoded = f"[{_quote(self._text(key, 'parameters', event.bound.as_json()))}]"
        return StatementEvent(
            event.frame,
            event.time,
            event.protocol,
            event.outcome,
            event.sqlstate,
            self._text(key, "statement", event.statement),
            self._text(key, "rewritten", event.rewritten),
            event.rows,
            event.bytes,
            event.duration_us,
            bound,
            event.request,
        )

    def _key_of_frame(self, members: str) -> TextKey:
        """`members` is `,"subject":…,"tenant":…,"time":` of the frame."""
        key = self._kept.get(members)
        if key is None:
            fields = json.loads(f"{{{members[1:]}0}}")
            key = self._kept[members] = self._key(fields["tenant"], fields["subject"])
        return key

    def _key(self, tenant: str, subject: str) -> TextKey:
        owner = (tenant, subject if self._by_subject else "")
        key = self._kept.get(owner)
        if key is None:
            key = self._kept[owner] = self._keys.key_for(*owner)
        return key

    def _text(self, key: TextKey, member: str, text: str) -> str:
        if not text:
            return ""
        data = text.encode("utf-8", "backslashreplace")
        if len(data) > _MAX_PLAIN_BYTES:
            data = data[:_MAX_PLAIN_BYTES].decode("utf-8", "ignore").encode() + b" ..."
        self._count += 1
        nonce = self._prefix + self._count.to_bytes(6, "big")
        sealed = nonce + key.cipher.encrypt(nonce, data, _LABEL + member.encode())
        return f"{MARK}{key.id}:{base64.b64encode(sealed).decode()}"

    def close(self) -> None:
        self._keys.close()


def make_concealer(config: AuditConfig) -> Concealer | None:
    """As [audit] has it; None: texts stand in the log as they are. Raises OSError."""
    if config.conceal == "off" or config.text_key is None:
        return None
    try:
        return Concealer(TextKeys(key_store_path(config), config.text_key), by_subject=config.conceal == "subject")
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"the keys of audit texts: {error}") from error


def key_store_path(config: AuditConfig) -> Path:
    """One file for all workers: beside their logs."""
    return config.key_store or config.path.parent / "text-keys.sqlite"


def is_concealed(text: str) -> bool:
    return text.startswith(MARK)


def reveal(event: dict[str, Any], keys: TextKeys) -> dict[str, Any]:
    """A copy of an event of the log with its texts readable; those whose key was shredded say so."""
    shown = dict(event)
    for member in _MEMBERS:
        text = event.get(member)
        if isinstance(text, str) and is_concealed(text):
            shown[member] = _plain(text, member, keys)
    parameters = event.get("parameters")
    if isinstance(parameters, list) and len(parameters) == 1 and str(parameters[0]).startswith(MARK):
        plain = _plain(str(parameters[0]), "parameters", keys)
        try:
            shown["parameters"] = json.loads(plain)
        except ValueError:
            shown["parameters"] = [plain]
    return shown


def _plain(text: str, member: str, keys: TextKeys) -> str:
    name, _, sealed = text.removeprefix(MARK).partition(":")
    key = keys.key_named(name)
    if key is None:
        return ERASED
    try:
        data = base64.b64decode(sealed, validate=True)
        return key.cipher.decrypt(data[:12], data[12:], _LABEL + member.encode()).decode("utf-8", "replace")
    except (ValueError, InvalidTag):
        return "(this is not what was encrypted)"
