"""The demo's policy: four tenants, six roles, and which tables are whose. Written to `.demo/policy.yaml`."""

from __future__ import annotations

from admin.demo.dataset import COLUMNS
from admin.demo.people import ISSUER
from admin.demo.schema import UMBRELLA

TARGET = "shop"  # the server, named after the database that most tenants share

_POLICY = f"""\
# Written by `tenantgate demo`, which fills .demo/store.db from it. Change it, and put it in force with
#   tenantgate policy apply -c .demo/tenantgate.toml .demo/policy.yaml
tenants:
  acme:                       # rows of shared tables, told apart by their tenant column
    isolation: shared
    target: {TARGET}
    quotas: {{connections: 50, concurrent_statements: 20, statements_per_s: 500, statement_timeout: 30s}}
  globex:
    isolation: shared
    target: {TARGET}
    quotas: {{connections: 50, concurrent_statements: 20}}
  initech:                    # a schema of its own in the same database
    isolation: schema
    target: {TARGET}
    schema: initech
  umbrella:                   # a database of its own on the same server
    isolation: database
    target: {TARGET}
    database: {UMBRELLA}

roles:
  app:                        # what an application needs
    permissions: ["table:*:read", "table:*:write", "table:*:copy"]
  analyst:                    # reads everything of its tenant but personal data and private notes
    replaces_builtin: true    # there is a built-in role of this name, without the masks
    permissions: ["table:*:read"]
    masks:
      customers:
        email: "left(email, 1) || '***@' || split_part(email, '@', 2)"
        card: "'**** **** **** ' || right(card, 4)"
    row_filters:
      notes: "visibility = 'team'"
  sales:                      # one region, named by the token's claim `region`
    permissions: ["table:customers:read", "table:orders:read", "table:countries:read"]
    row_filters:
      orders: "region = :attr_region"
  owner:
    permissions: ["database:*"]
  operator:                   # psql -d tenantgate -c 'SHOW POOLS'
    permissions: ["gateway:*:read"]
  gateway_admin:              # also KILL: what the admin API looks at and ends sessions with
    permissions: ["gateway:*:admin"]

assignments:                  # who administers, through the admin API
  otto: {{subject: otto, tenant: "*", issuer: {ISSUER}, roles: [super_admin]}}
  amy: {{subject: amy, tenant: acme, roles: [tenant_admin]}}

tables:                       # shared tables of the target; one that is not listed is nobody's
  {TARGET}:
    countries: {{global: true}}
"""


def policy_text() -> str:
    """Return the policy document (YAML)."""
    shared = (f"    {table}: {{tenant_column: tenant_id}}\n" for table in COLUMNS)
    return _POLICY + "".join(shared)
