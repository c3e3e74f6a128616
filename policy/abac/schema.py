"""What policies may speak of, as a Cedar schema: every policy is validated against it when the document is read.

Times are those of the minute that runs, so that a policy can change its mind at full minutes only (decision 35).
"""

from __future__ import annotations

from typing import Final

CEDAR_SCHEMA: Final = """
entity Tenant = { id: String, tier: String, isolation: String, status: String } tags String;
entity User = { subject: String, roles: Set<String>, method: String, tenant: Tenant } tags String;
entity Schema;
entity Database = { tags: Set<String> };
entity Table in [Schema] = { tags: Set<String> };
entity Column in [Table] = { tags: Set<String> };
type Environment = {
    now: datetime, hour: Long, minute: Long, weekday: Long,
    ip: ipaddr, tls: Bool, amr: Set<String>, acr: String, application: String, read_replica: Bool
};
action select, insert, update, delete, copy
    appliesTo { principal: [User], resource: [Table, Column], context: Environment };
action ddl, call, explain
    appliesTo { principal: [User], resource: [Database], context: Environment };
"""

TIMES: Final = frozenset({"now", "hour", "minute", "weekday"})
CONTEXT: Final = TIMES | {"ip", "tls", "amr", "acr", "application", "read_replica"}
