"""All checks on one database."""

from __future__ import annotations

import dataclasses

from admin.doctor import changes, code, lock, roles, tables
from admin.doctor.examined import Examined
from admin.doctor.findings import Finding

CHECKS = (*roles.CHECKS, *lock.CHECKS, *tables.CHECKS, *changes.CHECKS, *code.CHECKS)


def findings_of(seen: Examined) -> list[Finding]:
    """What is wrong with it, in no order."""
    target, database = seen.wanted.target.name, seen.wanted.database
    found = (finding for check in CHECKS for finding in check(seen))
    return [dataclasses.replace(finding, target=target, database=database) for finding in found]
