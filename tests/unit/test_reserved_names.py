"""Names that only the gateway uses on backends are nobody else's."""

from __future__ import annotations

from typing import cast

import pytest

from policy.errors import InvalidStatement
from policy.sql.plan import Plan, StatementKind
from proxy.postgres.errors import presentable_fields
from proxy.postgres.prepared import PreparedStatements
from proxy.postgres.reserved_names import SHARED_PREFIX
from proxy.postgres.sql_prepared import SqlPrepared
from proxy.postgres.statements import StatementBook
from proxy.session import Session


@pytest.mark.parametrize("action", ["prepare", "execute", "deallocate"])
def test_sql_cannot_name_a_shared_statement(action: str) -> None:
    name = StatementBook().statement("SELECT 1", b"\0\0").name.decode()
    plan = Plan(StatementKind.UTILITY, action.upper(), (), "", session_action=(action, name))
    with pytest.raises(InvalidStatement, match="reserved"):
        SqlPrepared().admit(plan, PreparedStatements(10), cast(Session, None), lambda text, sent: False)


def test_errors_do_not_show_them() -> None:
    fields = {"C": b"26000", "M": f'prepared statement "{SHARED_PREFIX}12" does not exist'.encode()}
    for verbatim in (True, False):
        shown = presentable_fields(fields, None, verbatim=verbatim)
        assert shown["M"] == b"prepared statement does not exist"
