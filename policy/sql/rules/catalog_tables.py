"""Which rows of each system catalog a tenant may see, as data (PostgreSQL 13 to 18, "System Catalogs" and "Views").

A rule is a condition over the catalog aliased `x`, in the small language that `catalogs.py` expands: `=`, `<>` and
`<` between blanks become pg_catalog's operators, `'…'o` an oid constant, and `@word(argument)` one of

    @system(c)       c is an object that came with the server (below FirstNormalObjectId)
    @relation(c)     c is a relation that the session may read
    @class(c)        ... or of the server, or an index or an owned sequence of one that it may read
    @definition(c)   c is a relation whose definition may be read: of shared tables, one that the policy lists
    @attribute(c, a) the column a of the relation c is not denied to the roles; @column(s, n, a) the same by names
    @table(s, n)     the same by schema and name
    @schema(s)       s is the name of a schema that the session may see; @namespace(c) the same by oid
    @named_type(s,n) the same as @type by schema and name
    @type(c)         c is a type of the server, of an extension, of the session's own schema, or one of which columns
                     of relations that it may read are made

A catalog that stands in no table here is refused: what is unknown shows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOTHING: Final = "false"
EVERYTHING: Final = "true"

_NAMED = "@table(x.table_schema, x.table_name)"
_SYSTEM_ROUTINE = "x.specific_schema = ANY ('{pg_catalog,information_schema}'::pg_catalog.name[])"
_OWN_ROLE = "= CURRENT_USER"

SETTINGS: Final = (
    "application_name",
    "bytea_output",
    "block_size",
    "client_encoding",
    "client_min_messages",
    "DateStyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "integer_datetimes",
    "IntervalStyle",
    "jit",
    "lc_collate",
    "lc_ctype",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "max_identifier_length",
    "max_index_keys",
    "quote_all_identifiers",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "standard_conforming_strings",
    "statement_timeout",
    "TimeZone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "work_mem",
    "xmlbinary",
    "xmloption",
)

OF_ACTIVITY: Final = tuple(  # reads and writes of tables, of all who share them together
    f"pg_{kind}_{scope}_{what}"
    for kind, whats in (("stat", ("tables", "indexes")), ("statio", ("tables", "indexes", "sequences")))
    for scope in ("all", "user", "sys")
    for what in whats
)

PG_CATALOG: Final[Mapping[str, str]] = {
    "pg_class": "@class(x.oid)",
    "pg_attribute": "@class(x.attrelid) AND @attribute(x.attrelid, x.attname)",
    "pg_attrdef": "@relation(x.adrelid)",
    "pg_index": "@system(x.indrelid) OR @relation(x.indrelid)",
    "pg_constraint": "CASE WHEN x.conrelid <> '0'o THEN @system(x.conrelid) OR @relation(x.conrelid)"
    " ELSE @type(x.contypid) END",
    "pg_inherits": "@class(x.inhrelid) AND @class(x.inhparent)",
    "pg_partitioned_table": "@relation(x.partrelid)",
    "pg_sequence": "@class(x.seqrelid)",
    "pg_trigger": "@relation(x.tgrelid)",
    "pg_statistic_ext": "@relation(x.stxrelid)",
    "pg_namespace": "@schema(x.nspname)",
    "pg_type": "@type(x.oid)",
    "pg_enum": "@type(x.enumtypid)",
    "pg_range": "@type(x.rngtypid)",
    "pg_depend": "CASE WHEN x.refclassid = '1259'o AND @class(x.refobjid)"
    " THEN x.classid = ANY ('{2604,2606}'::pg_catalog.oid[]) OR (x.classid = '1259'o AND @class(x.objid))"
    " ELSE false END",
    "pg_description": "CASE WHEN x.classoid = '1259'o THEN @class(x.objoid)"
    " WHEN x.classoid = '1247'o THEN @type(x.objoid)"
    " WHEN x.classoid = '2606'o THEN x.objoid = ANY (ARRAY(SELECT k.oid FROM pg_catalog.pg_constraint AS k"
    " WHERE @relation(k.conrelid))) WHEN x.classoid = '2613'o THEN false"
    " WHEN x.classoid = '2615'o THEN @namespace(x.objoid) WHEN x.classoid = '3079'o THEN true"
    " ELSE @system(x.objoid) END",
    "pg_shdescription": "CASE WHEN x.classoid = '1262'o THEN EXISTS (SELECT FROM pg_catalog.pg_database AS d"
    " WHERE d.oid = x.objoid AND d.datname = pg_catalog.current_database()) ELSE false END",
    "pg_database": "x.datname = pg_catalog.current_database()",
    "pg_roles": f"x.rolname {_OWN_ROLE}",
    "pg_user": f"x.usename {_OWN_ROLE}",
    "pg_settings": "x.name = ANY ('{" + ",".join(SETTINGS) + "}'::pg_catalog.text[])",
    **dict.fromkeys(
        ("pg_stat_activity", "pg_stat_ssl", "pg_stat_gssapi"), "x.pid = pg_catalog.pg_backend_pid()"
    ),
    "pg_tables": "@table(x.schemaname, x.tablename)",
    "pg_views": "@table(x.schemaname, x.viewname)",
    "pg_matviews": "@table(x.schemaname, x.matviewname)",
    "pg_indexes": "@table(x.schemaname, x.tablename)",
    "pg_sequences": "@table(x.schemaname, x.sequencename)",
    "pg_aggregate": "@system(x.aggfnoid)",
    "pg_amop": "@system(x.amopfamily)",
    "pg_amproc": "@system(x.amprocfamily)",
    "pg_tablespace": "@system(x.oid)",
    **dict.fromkeys(
        (
            "pg_proc", "pg_operator", "pg_opclass", "pg_opfamily", "pg_cast", "pg_am", "pg_language", "pg_collation",
            "pg_conversion", "pg_transform", "pg_ts_config", "pg_ts_dict", "pg_ts_parser", "pg_ts_template",
        ),
        "@system(x.oid)",
    ),
    "pg_ts_config_map": "@system(x.mapcfg)",
    **dict.fromkeys(
        (
            "pg_extension", "pg_available_extensions", "pg_available_extension_versions", "pg_timezone_names",
            "pg_timezone_abbrevs",
        ),
        EVERYTHING,
    ),
    **dict.fromkeys(
        (
            "pg_rewrite", "pg_rules", "pg_policy", "pg_policies", "pg_auth_members", "pg_group", "pg_default_acl",
            "pg_init_privs", "pg_seclabel", "pg_seclabels", "pg_shseclabel", "pg_db_role_setting", "pg_event_trigger",
            "pg_foreign_data_wrapper", "pg_foreign_server", "pg_foreign_table", "pg_publication",
            "pg_publication_namespace", "pg_publication_rel", "pg_publication_tables", "pg_subscription",
            "pg_subscription_rel", "pg_shdepend", "pg_largeobject_metadata", "pg_user_mappings",
            "pg_parameter_acl", "pg_stat_user_functions", *OF_ACTIVITY,
        ),
        NOTHING,
    ),
}  # fmt: skip

INFORMATION_SCHEMA: Final[Mapping[str, str]] = {
    "columns": f"{_NAMED} AND @column(x.table_schema, x.table_name, x.column_name)",
    "schemata": "@schema(x.schema_name)",
    "sequences": "@table(x.sequence_schema, x.sequence_name)",
    "triggers": "@table(x.event_object_schema, x.event_object_table)",
    "triggered_update_columns": "@table(x.event_object_schema, x.event_object_table)",
    "domains": "@named_type(x.domain_schema, x.domain_name)",
    "domain_constraints": "@named_type(x.domain_schema, x.domain_name)",
    "user_defined_types": "@named_type(x.user_defined_type_schema, x.user_defined_type_name)",
    "attributes": "@named_type(x.udt_schema, x.udt_name)",
    "domain_udt_usage": "@named_type(x.domain_schema, x.domain_name)",
    "element_types": "CASE WHEN x.object_type = 'TABLE' THEN @table(x.object_schema, x.object_name) ELSE false END",
    "referential_constraints": "@constraint(x.constraint_schema, x.constraint_name)",
    "check_constraints": "@constraint(x.constraint_schema, x.constraint_name)",
    "view_column_usage": f"{_NAMED} AND @table(x.view_schema, x.view_name)",
    "view_table_usage": f"{_NAMED} AND @table(x.view_schema, x.view_name)",
    "view_routine_usage": NOTHING,
    "routines": _SYSTEM_ROUTINE,
    "parameters": _SYSTEM_ROUTINE,
    "collations": "x.collation_schema = 'pg_catalog'",
    "collation_character_set_applicability": "x.collation_schema = 'pg_catalog'",
    "enabled_roles": f"x.role_name {_OWN_ROLE}",
    **dict.fromkeys(
        (
            "tables", "views", "table_constraints", "key_column_usage", "constraint_column_usage",
            "constraint_table_usage", "table_privileges", "column_privileges", "role_table_grants",
            "role_column_grants", "column_domain_usage",
            "column_udt_usage", "column_column_usage", "column_options",
        ),
        _NAMED,
    ),
    **dict.fromkeys(
        (
            "information_schema_catalog_name", "character_sets", "sql_features", "sql_implementation_info",
            "sql_sizing", "sql_parts",
        ),
        EVERYTHING,
    ),
    **dict.fromkeys(
        (
            "applicable_roles", "administrable_role_authorizations", "foreign_data_wrappers", "foreign_servers",
            "foreign_tables", "routine_privileges", "role_routine_grants", "udt_privileges", "role_udt_grants",
            "usage_privileges", "role_usage_grants", "data_type_privileges", "transforms", "user_mappings",
            "routine_column_usage", "routine_routine_usage", "routine_sequence_usage", "routine_table_usage",
        ),
        NOTHING,
    ),
}  # fmt: skip


def _own_acl(column: str, *grantees: str) -> str:
    """The entries of an access list that are for everybody, the gateway's role or `grantees`; roles are others'."""
    own = " OR ".join(f"e.grantee = {grantee}" for grantee in ("'0'o", "r.oid", *grantees))
    return (  # S608: constants only
        f"(SELECT pg_catalog.array_agg(u.i ORDER BY u.n) FROM pg_catalog.unnest(x.{column}) WITH ORDINALITY AS u(i, n)"  # noqa: S608
        " CROSS JOIN pg_catalog.pg_roles AS r WHERE r.rolname = CURRENT_USER::pg_catalog.name"
        f" AND EXISTS (SELECT FROM pg_catalog.aclexplode(ARRAY[u.i]) AS e WHERE {own}))"
    )


HIDDEN_COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "pg_catalog.pg_class": {
        "relpages": "'0'::pg_catalog.int4",
        "reltuples": "'-1'::pg_catalog.float4",
        "relallvisible": "'0'::pg_catalog.int4",
        "relallfrozen": "'0'::pg_catalog.int4",
        "relfrozenxid": "'0'::pg_catalog.xid",
        "relminmxid": "'0'::pg_catalog.xid",
        "relacl": _own_acl("relacl", "x.relowner"),
    },
    "pg_catalog.pg_attribute": {"attacl": _own_acl("attacl")},
    "pg_catalog.pg_namespace": {"nspacl": _own_acl("nspacl", "x.nspowner")},
    "pg_catalog.pg_type": {"typacl": _own_acl("typacl", "x.typowner")},
    "pg_catalog.pg_proc": {"proacl": _own_acl("proacl", "x.proowner")},
    "pg_catalog.pg_language": {"lanacl": _own_acl("lanacl", "x.lanowner")},
    "pg_catalog.pg_tablespace": {"spcacl": _own_acl("spcacl", "x.spcowner")},
    "pg_catalog.pg_database": {
        "datfrozenxid": "'0'::pg_catalog.xid",
        "datminmxid": "'0'::pg_catalog.xid",
        "datacl": "NULL::pg_catalog.aclitem[]",
    },
    "pg_catalog.pg_stat_activity": {
        "query": "NULL::pg_catalog.text",
        "client_addr": "NULL::pg_catalog.inet",
        "client_hostname": "NULL::pg_catalog.text",
        "client_port": "NULL::pg_catalog.int4",
        "backend_xid": "NULL::pg_catalog.xid",
        "backend_xmin": "NULL::pg_catalog.xid",
    },
    "pg_catalog.pg_subscription": {"subconninfo": "NULL::pg_catalog.text"},
    "pg_catalog.pg_sequences": {"last_value": "NULL::pg_catalog.int8"},
}
"""What stands in place of columns that tell how much data there is, of all tenants together, how busy they are, or
which other roles there are."""

HIDDEN_IN_SHARED: Final[Mapping[str, Mapping[str, str]]] = {
    "pg_catalog.pg_views": {"definition": "NULL::pg_catalog.text"},
    "pg_catalog.pg_matviews": {"definition": "NULL::pg_catalog.text"},
    "information_schema.views": {"view_definition": "NULL::information_schema.character_data"},
}
"""The same in shared tables only: a view that was made for one tenant may name it."""

CLUSTER_WIDE: Final = frozenset(
    {
        "pg_settings",
        "pg_database",
        "pg_roles",
        "pg_user",
        "pg_shdescription",
        "pg_auth_members",
        "pg_group",
        "pg_db_role_setting",
        "pg_shdepend",
        "pg_shseclabel",
        "pg_seclabels",
        "pg_tablespace",
        "pg_subscription",
        "pg_subscription_rel",
    }
)
"""Catalogs that show the whole cluster: guarded in a tenant's own database too."""

PREPARED_STATEMENTS: Final = "pg_prepared_statements"
GATEWAYS_STATEMENT: Final = "^(tg[0-9a-f]{16}_[0-9]+|tenantgate_copy_[0-9a-f]{16})$"  # proxy/postgres names them so

DATABASE_ONLY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("pg_stat_ssl", "pg_stat_gssapi"), "x.pid = pg_catalog.pg_backend_pid()"),
    "pg_stat_activity": "x.datname = pg_catalog.current_database()",
    "pg_stat_database": "x.datname = pg_catalog.current_database()",
    "pg_locks": "EXISTS (SELECT FROM pg_catalog.pg_database AS d WHERE d.oid = x.database"
    " AND d.datname = pg_catalog.current_database())",
    **dict.fromkeys(OF_ACTIVITY, EVERYTHING),
    "pg_stat_user_functions": EVERYTHING,
    "pg_prepared_xacts": "x.database = pg_catalog.current_database()",
    "pg_cursors": EVERYTHING,
    PREPARED_STATEMENTS: f"NOT x.name OPERATOR(pg_catalog.~) '{GATEWAYS_STATEMENT}'",
}
"""What a tenant with a database of its own may see besides: its own activity. A backend has no cursors but those of the
session that holds it; its statements have names of the gateway's, of all sessions, but those that are the session's."""
