"""The demo's policy store: filled from policy.yaml and then left alone, so that what the admin API changed stays."""

from __future__ import annotations

import asyncio

from admin.demo.home import Home
from admin.demo.policy import TARGET, policy_text
from admin.demo.schema import SHOP
from admin.services.actor import EVERYTHING, Actor
from admin.services.documents import apply_document
from admin.store.engine import Store, store_url
from admin.store.upgrade import upgrade
from policy.strict_yaml import parse_strict_yaml

DEMO = Actor("tenantgate demo", permissions=EVERYTHING, via="cli")


def fill_store(home: Home) -> None:
    """Write policy.yaml, and put it in force where the store is new or the demo's policy another than last time."""
    text = policy_text()
    known = home.policy.read_text(encoding="utf-8") if home.policy.exists() and home.store.exists() else ""
    home.policy.write_text(text, encoding="utf-8")
    asyncio.run(_fill(home, None if known == text else text))


async def _fill(home: Home, text: str | None) -> None:
    store = Store(store_url(str(home.store)))
    try:
        await upgrade(store)
        if text is not None:
            document = parse_strict_yaml(text)
            assert isinstance(document, dict)
            await apply_document(store, DEMO, {"targets": {TARGET: {"database": SHOP}}, **document})
    finally:
        await store.close()
