"""Names on a backend that only the gateway knows, and messages that use them."""

from __future__ import annotations

import secrets

from proxy.postgres.wire import messages

_NOWHERE = f"tenantgate_refused_{secrets.token_hex(8)}".encode()  # no statement has this name
FAILING_BIND = messages.encode_bind_nothing(_NOWHERE)
FAILING_QUERY = messages.encode_query(b"tenantgate: this statement was refused")
COPY_NAME = f"tenantgate_copy_{secrets.token_hex(8)}".encode()
CLOSE_COPY = messages.encode_close_statement(COPY_NAME) + messages.encode_close_portal(COPY_NAME)
RUN_COPY = messages.encode_bind_nothing(COPY_NAME, COPY_NAME) + messages.encode_execute(COPY_NAME)
