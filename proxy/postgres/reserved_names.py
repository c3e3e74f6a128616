"""Names on a backend that only the gateway knows, and messages that use them.

A client that learns one must not be able to use it: names that begin with `SHARED_PREFIX` are nobody's, and errors of
the target do not show them.
"""

from __future__ import annotations

import re
import secrets

from proxy.postgres.wire import messages

SHARED_PREFIX = f"tg{secrets.token_hex(8)}_"  # statements that sessions share
_SHARED_NAME = re.compile(rb' ?"%b[0-9]+"' % SHARED_PREFIX.encode())
_NOWHERE = f"tenantgate_refused_{secrets.token_hex(8)}".encode()  # no statement has this name
FAILING_BIND = messages.encode_bind_nothing(_NOWHERE)
FAILING_QUERY = messages.encode_query(b"tenantgate: this statement was refused")
_OWN = f"tenantgate_copy_{secrets.token_hex(8)}".encode()
COPY_NAME = _OWN  # the COPY that takes the data, which may be the second of four statements (rules/copy_staged.py):
STAGE_NAME = _OWN + b"_stage"  # what makes the temporary table, then what drops it
FILL_NAME = _OWN + b"_fill"  # the INSERT
END_STAGES = messages.encode_execute(FILL_NAME) + messages.encode_execute(STAGE_NAME)


def without_shared_names(message: bytes) -> bytes:
    """A target's message without the names of shared statements, such as that of a Bind with too few values."""
    return _SHARED_NAME.sub(b"", message)
