"""The optional compiled build: TENANTGATE_COMPILE=1 turns the modules of the hot path into C extensions (mypyc).

Everything works without; compiled, the gateway itself takes a tenth to a third less CPU per statement. Needs mypy, a C
compiler and Python headers. `make compiled` makes such a build in .build/compiled (docs/decisions/0014).
"""

from __future__ import annotations

import os

from setuptools import setup

COMPILED = [
    "policy/quotas.py",
    "policy/sql/plan.py",
    "policy/sql/shape.py",
    "proxy/audit/canonical.py",
    "proxy/audit/chain.py",
    "proxy/audit/emitter.py",
    "proxy/audit/identity.py",
    "proxy/audit/parameters.py",
    "proxy/audit/statement.py",
    "proxy/lease.py",
    "proxy/observe/metrics.py",
    "proxy/plans/cache.py",
    "proxy/plans/room.py",
    "proxy/pool/pool.py",
    "proxy/postgres/backend.py",
    "proxy/postgres/begin_later.py",
    "proxy/postgres/conversation.py",
    "proxy/postgres/engine.py",
    "proxy/postgres/expected.py",
    "proxy/postgres/extended.py",
    "proxy/postgres/frontend.py",
    "proxy/postgres/held.py",
    "proxy/postgres/judge.py",
    "proxy/postgres/lanes/group.py",
    "proxy/postgres/lanes/lane.py",
    "proxy/postgres/lanes/request.py",
    "proxy/postgres/lanes/rider.py",
    "proxy/postgres/lanes/template.py",
    "proxy/postgres/portals.py",
    "proxy/postgres/prepared.py",
    "proxy/postgres/recorder.py",
    "proxy/postgres/relay.py",
    "proxy/postgres/settings.py",
    "proxy/postgres/shared_runs.py",
    "proxy/postgres/statements.py",
    "proxy/postgres/wire/framing.py",
    "proxy/postgres/wire/messages.py",
    "proxy/postgres/wire/replies.py",
    "proxy/quota_alerts.py",
    "proxy/quota_ledger.py",
    "proxy/quotas.py",
    "proxy/session.py",
    "proxy/workers/table.py",
    "proxy/workers/usage.py",
]

if os.environ.get("TENANTGATE_COMPILE") == "1":
    from mypyc.build import mypycify

    setup(ext_modules=mypycify(COMPILED, opt_level="3"))
else:
    setup()
