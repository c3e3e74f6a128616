"""The lock's own objects in a database: the schema `tenantgate`, what was made, the key, the function.

The function has two forms. Without a key it only reads the setting, and PostgreSQL puts its text in the place of the
call. With one it checks the value's proof first, as its owner, for nobody else may read the key. Every name in
either is qualified: whoever calls them may have any search_path.
"""

from __future__ import annotations

from collections.abc import Iterator

from admin.provision.facts import Facts, FunctionFacts
from admin.provision.steps import KEY_TABLE, MADE_TABLE, Step, ident, literal
from admin.provision.wanted import Target
from policy import second_lock

PLAIN_SOURCE = f"""
SELECT CASE WHEN pg_catalog.starts_with(pg_catalog.current_setting('{second_lock.SETTING}', true),
                                        kind OPERATOR(pg_catalog.||) '=')
  THEN pg_catalog.substr(pg_catalog.current_setting('{second_lock.SETTING}', true),
                         pg_catalog.length(kind) OPERATOR(pg_catalog.+) 2) END
"""

_CHARACTERS = second_lock.PROOF_CHARACTERS
PROVING_SOURCE = f"""
DECLARE
  setting pg_catalog.text := pg_catalog.current_setting('{second_lock.SETTING}', true);
  claim pg_catalog.text := pg_catalog.substr(setting, {_CHARACTERS + 1});
BEGIN
  IF pg_catalog.starts_with(claim, kind OPERATOR(pg_catalog.||) '=') THEN
    PERFORM FROM {KEY_TABLE} k
      WHERE pg_catalog.encode(pg_catalog.sha256(k.outer_pad OPERATOR(pg_catalog.||) pg_catalog.sha256(
        k.inner_pad OPERATOR(pg_catalog.||) pg_catalog.convert_to(claim, 'UTF8'))), 'hex')
        OPERATOR(pg_catalog.=) pg_catalog.substr(setting, 1, {_CHARACTERS});
    IF FOUND THEN
      RETURN pg_catalog.substr(claim, pg_catalog.length(kind) OPERATOR(pg_catalog.+) 2);
    END IF;
  END IF;
  RETURN NULL;
END
"""


def made_steps(facts: Facts) -> Iterator[Step]:
    """The schema and the table of what was made, which every other step writes to."""
    if second_lock.SCHEMA in facts.schemas:
        return
    yield Step(f"CREATE SCHEMA {second_lock.SCHEMA}", "what TenantGate keeps in this database")
    yield Step(
        f"CREATE TABLE {MADE_TABLE} (kind text, schema_name text, object_name text, detail text, "
        "PRIMARY KEY (kind, schema_name, object_name, detail))",
        "what provisioning made, so that --revert undoes that and no more",
    )
    yield Step(
        f"CREATE TABLE {KEY_TABLE} (inner_pad bytea NOT NULL, outer_pad bytea NOT NULL)",
        "the key that proves the setting; only its owner can read it",
    )


def function_steps(target: Target, facts: Facts) -> Iterator[Step]:
    """The function, when it is missing or another."""
    if not function_is_right(facts.function, target):
        language, definer, source = "sql", "", PLAIN_SOURCE
        if target.key is not None:
            language, definer, source = "plpgsql", " SECURITY DEFINER", PROVING_SOURCE
        yield Step(
            f"CREATE OR REPLACE FUNCTION {second_lock.FUNCTION}(kind text) RETURNS text LANGUAGE {language} "
            f"STABLE PARALLEL SAFE{definer} AS $lock${source}$lock$",
            "what the setting says, proven" if target.key is not None else "what the setting says",
        )
        yield Step(
            f"REVOKE ALL ON FUNCTION {second_lock.FUNCTION}(text) FROM PUBLIC", "nobody else has a use for the function"
        )
        yield Step(
            f"GRANT USAGE ON SCHEMA {second_lock.SCHEMA} TO {ident(target.role)}", "policies call the function by name"
        )
        yield Step(
            f"GRANT SELECT ON {MADE_TABLE} TO {ident(target.role)}", "the doctor tells what is ours from what is not"
        )
        yield Step(
            f"GRANT EXECUTE ON FUNCTION {second_lock.FUNCTION}(text) TO {ident(target.role)}",
            "policies run with the rights of who asks",
        )


def function_is_right(function: FunctionFacts | None, target: Target) -> bool:
    source = PLAIN_SOURCE if target.key is None else PROVING_SOURCE
    definer = target.key is not None
    return (
        function is not None
        and function.source == source
        and function.definer is definer
        and function.language == ("plpgsql" if definer else "sql")
        and function.executors == {target.role}
    )


def key_steps(target: Target, stored: list[tuple[str, str]]) -> Iterator[Step]:
    """Make the stored key the configured one; stored: the pads in hexadecimal."""
    pads = [] if target.key is None else [tuple(pad.hex() for pad in second_lock.key_pads(target.key))]
    if stored == pads:
        return
    if stored:
        yield Step(f"DELETE FROM {KEY_TABLE}", "another key than the configuration's")  # noqa: S608
    for inner, outer in pads:
        insert = f"INSERT INTO {KEY_TABLE} VALUES "  # noqa: S608
        values = f"(decode({literal(inner)}, 'hex'), decode({literal(outer)}, 'hex'))"
        yield Step(insert + values, "the key of the configuration", shown=f"{insert}(…, …)")
