"""A webhook, signed as Standard Webhooks has it (standard-webhooks, 1.0.0): the receiver takes what carries a good
`webhook-signature` over `id.timestamp.body` and a `webhook-timestamp` of these minutes, and drops an id that it has.

    expected = base64(HMAC-SHA256(secret, f"{webhook-id}.{webhook-timestamp}." + body));  signature = "v1," + expected
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence

from proxy.audit.sinks.batches import PostingSink
from proxy.audit.sinks.sink import Record


class WebhookSink(PostingSink):
    """Posts `{"events": [...]}`, each event with its `id` and `chain`; the delivery's id is made of the events' ids."""

    def encode(self, records: Sequence[Record]) -> tuple[bytes, Mapping[str, str]]:
        events = [{**record.event, "id": record.id, "chain": record.chain} for record in records]
        body = json.dumps({"type": "tenantgate.audit", "events": events}).encode()
        delivery = "audit_" + hashlib.sha256("\n".join(record.id for record in records).encode()).hexdigest()[:32]
        timestamp = str(int(time.time()))
        return body, {
            "content-type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self.config.secret or "", delivery, timestamp, body),
        }


def sign(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """The signature header. A secret `whsec_…` is base64 of the key, any other is the key's text."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    return "v1," + base64.b64encode(hmac.digest(key, f"{delivery}.{timestamp}.".encode() + body, "sha256")).decode()
