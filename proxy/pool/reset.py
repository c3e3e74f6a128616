"""Make a backend as new before another session gets it, or say that it cannot be.

DISCARD ALL closes cursors, forgets prepared statements and temporary tables, releases advisory locks, stops LISTEN,
resets SESSION AUTHORIZATION (and with it the role) and every setting to the value of the startup packet. RESET ALL
alone does not reset the role. Source: PostgreSQL manual, DISCARD.
"""

from __future__ import annotations

import secrets

from policy.errors import TenantGateError
from proxy.postgres.backend import IDLE, BackendConnection

RESET_TIMEOUT_S = 5.0


async def reset(backend: BackendConnection, *, timeout_s: float = RESET_TIMEOUT_S) -> bool:
    """True when `backend` is idle, clean and in step with us; False when it must be closed. Each of its at most two
    round trips takes `timeout_s` at most."""
    try:
        if backend.transaction_status != IDLE:
            await backend.exchange("ROLLBACK", timeout_s=timeout_s)
        return await _discard(backend, timeout_s)
    except TenantGateError:
        return False


async def _discard(backend: BackendConnection, timeout_s: float) -> bool:
    """DISCARD ALL, then a question with an unguessable answer: a late reply to a client's statement that is taken
    for the reply to ours shifts the answer, and so shows."""
    backend.settings = {}
    backend.left = 0
    backend.statements.clear()
    nonce = secrets.token_hex(8)
    discarded, answer = await backend.exchange("DISCARD ALL", f"SELECT '{nonce}'", timeout_s=timeout_s)
    return (
        discarded.tag == "DISCARD ALL"
        and not discarded.rows
        and answer.rows == [[nonce]]
        and backend.transaction_status == IDLE
        and not backend.closed
        and not backend.input_pending()
    )
