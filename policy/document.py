"""The policy document: `policy.yaml` to a `Snapshot`, with every error of the file reported at once.

docs/policy.md describes the sections. What does not fit is refused: an unknown key, a permission word that nobody
knows, two tenants that would share one place on a target, roles that inherit in a cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from policy.change_checks import check_changes
from policy.changes import EMPTY, SECTIONS, Change, read_change, snapshot_with
from policy.errors import ConfigurationError
from policy.problems import Problems
from policy.snapshot import Snapshot
from policy.strict_yaml import MAX_BYTES, StrictYamlError, parse_strict_yaml
from policy.yaml_values import as_mapping

_SECTIONS = tuple(SECTIONS.values())


def load_policy(
    path: Path,
    *,
    version: int,
    targets: Collection[str],
    databases: Mapping[str, str] | None = None,
    problems: Problems | None = None,
) -> Snapshot:
    """Read and parse a policy file; see `parse_policy`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StrictYamlError(f"larger than {MAX_BYTES // 1024 // 1024} MB")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(((str(path), f"cannot be read: {reason}", "The policy is a UTF-8 text."),)) from None
    return parse_policy(
        text, version=version, targets=targets, databases=databases, source=path.name, problems=problems
    )


def parse_policy(
    text: str,
    *,
    version: int,
    targets: Collection[str],
    databases: Mapping[str, str] | None = None,
    source: str = "policy",
    problems: Problems | None = None,
) -> Snapshot:
    """A snapshot of the document. Raises ConfigurationError with all problems.

    targets: the names that tenants may use. databases: each target's own database, so that a tenant that names it
    and one that leaves it out are known to be in the same place. problems: takes warnings, too.
    """
    problems = problems or Problems()
    try:
        document = parse_strict_yaml(text)
    except StrictYamlError as error:
        where = f"line {error.line}: " if error.line else ""
        problems.add(source, where + str(error), "Indent with spaces; quote words with special characters.")
        document = None
    problems.raise_if_any()
    sections = as_mapping(problems, "", document)
    if not sections and not problems.found:
        problems.add(source, "the document is empty", "See docs/policy.md for an example.")
    problems.unknown_keys("", sections, _SECTIONS)
    changes: list[Change] = []
    for kind, section in SECTIONS.items():
        for name, body in as_mapping(problems, section, sections.get(section)).items():
            changes.append(read_change(problems, kind, name, {} if body is None else body, targets))
    snapshot = snapshot_with(EMPTY, version, changes)
    check_changes(problems, snapshot, changes, databases)
    problems.raise_if_any()
    return snapshot
