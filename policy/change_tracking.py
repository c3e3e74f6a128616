"""Changes of tracked tables: who a statement's changes are by, as the target is told.

Statements that can write a tracked table begin with a comment of the gateway's, `/*tenantgate:HEX*/`: the claim
`change=["tenant","subject","session"]` behind its HMAC when the target has a key (policy/second_lock.py). Triggers
that `admin/provision` makes read it (docs/changes.md) and refuse what does not begin with one. It is in no setting, so
nobody can set it, and nothing of one session is left for the next on the same backend.
"""

from __future__ import annotations

import json
from typing import Final

from policy import second_lock

MARK_BEGINS: Final = "/*tenantgate:"
MARK_ENDS: Final = "*/"
CLAIM: Final = "change="
TRIGGER: Final = "tenantgate_changes"  # after each row that is written
TOLD_TRIGGER: Final = "tenantgate_changes_told"  # after each statement: tells the gateway what was written down
TRUNCATE_TRIGGER: Final = "tenantgate_changes_truncate"
TRIGGER_PREFIX: Final = "tenantgate_"  # names of triggers that are nobody else's
TOLD_SQLSTATE: Final = "TG0CH"  # of the notice to the gateway


def mark_of(tenant: str, subject: str, session: str, key: bytes | None) -> str:
    """The comment, with the blank behind it. Only hexadecimal digits stand in it, so nothing can end it early."""
    claim = CLAIM + json.dumps([tenant, subject, session], ensure_ascii=False, separators=(",", ":"))
    return f"{MARK_BEGINS}{second_lock.setting_value(claim, key).encode().hex()}{MARK_ENDS} "
