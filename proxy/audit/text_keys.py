"""The keys of encrypted audit texts: one for each tenant, or each user of a tenant, in a SQLite file beside the log.

Keys are wrapped with Fernet under a key that is made of `text_key`. Shredding a key takes the wrapped one out of the
file (secure_delete overwrites it): every text under it is then lost for good, and the lines that hold it stay.
Somebody who comes back after that gets a new key. Several processes may use the file at once.
"""

from __future__ import annotations

import base64
import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, subject TEXT NOT NULL, wrapped BLOB, made REAL NOT NULL,
    shredded REAL, reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS keys_of ON keys (tenant, subject);
"""


class UnusableTextKey(OSError):
    """The store's keys cannot be unwrapped with this `text_key`."""


@dataclass(frozen=True, slots=True)
class TextKey:
    """A key with its name, which stands in each text that it encrypts."""

    id: str
    cipher: AESGCM


class TextKeys:
    """An open key store. Raises OSError and sqlite3.Error."""

    def __init__(self, path: Path, text_key: str) -> None:
        material = HKDF(hashes.SHA256(), 32, salt=None, info=b"tenantgate audit text keys 1").derive(text_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(material))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.execute("PRAGMA journal_mode = TRUNCATE")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLE)
        self._check()

    def _check(self) -> None:
        """With another `text_key` than before nothing can be read, so nothing is to be written."""
        row = self._connection.execute("SELECT wrapped FROM keys WHERE wrapped IS NOT NULL LIMIT 1").fetchone()
        if row is not None:
            self._unwrapped(row[0])

    @property
    def version(self) -> int:
        """Another number when another process has changed the store."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def key_for(self, tenant: str, subject: str) -> TextKey:
        """The key in use, made and on the disk if there was none."""
        found = self._in_use(tenant, subject)
        if found is not None:
            return found
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            key = self._in_use(tenant, subject) or self._make(tenant, subject)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return key

    def _in_use(self, tenant: str, subject: str) -> TextKey | None:
        row = self._connection.execute(
            "SELECT id, wrapped FROM keys WHERE tenant = ? AND subject = ? AND wrapped IS NOT NULL", (tenant, subject)
        ).fetchone()
        return None if row is None else TextKey(row[0], self._unwrapped(row[1]))

    def _make(self, tenant: str, subject: str) -> TextKey:
        name, key = secrets.token_hex(8), AESGCM.generate_key(256)
        self._connection.execute(
            "INSERT INTO keys (id, tenant, subject, wrapped, made) VALUES (?, ?, ?, ?, ?)",
            (name, tenant, subject, self._fernet.encrypt(key), time.time()),
        )
        return TextKey(name, AESGCM(key))

    def key_named(self, name: str) -> TextKey | None:
        """The key of a text; None when it was shredded, or is of another store."""
        row = self._connection.execute("SELECT wrapped FROM keys WHERE id = ?", (name,)).fetchone()
        return None if row is None or row[0] is None else TextKey(name, self._unwrapped(row[0]))

    def _unwrapped(self, wrapped: bytes) -> AESGCM:
        try:
            return AESGCM(self._fernet.decrypt(wrapped))
        except InvalidToken:
            raise UnusableTextKey(5, "the keys of audit texts are wrapped with another text_key") from None

    def shred(self, tenant: str, subject: str | None, reason: str) -> list[str]:
        """Destroy the keys of one user, or of all of a tenant; the ids of those that there were."""
        which, values = "tenant = ? AND wrapped IS NOT NULL", [tenant]
        if subject is not None:
            which, values = f"{which} AND subject = ?", [tenant, subject]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            found = [str(row[0]) for row in self._connection.execute(f"SELECT id FROM keys WHERE {which}", values)]  # noqa: S608
            self._connection.execute(
                f"UPDATE keys SET wrapped = NULL, shredded = ?, reason = ? WHERE {which}",  # noqa: S608
                (time.time(), reason, *values),
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return found

    def close(self) -> None:
        self._connection.close()
