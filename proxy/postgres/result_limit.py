"""What policies ask of each run of a statement: how large its result may be, and for whom an approval must be given.

The relay cuts results (relay.py), those of policies as those of quotas.
"""

from __future__ import annotations

from typing import Final

from policy.errors import StatementRefused

APPROVAL: Final = "tenantgate.approval"  # the setting


class ResultTooLarge(StatementRefused):
    """A policy's limit on the bytes of a result was reached (54000)."""

    kind = "denied"
    default_sqlstate = "54000"


def too_large(limit: int, policies: str) -> ResultTooLarge:
    """The error that ends the statement."""
    return ResultTooLarge(
        f"the result is larger than {limit} bytes",
        detail=f"Policy {policies} limits it. The rows before are not all.",
        hint="Ask for fewer rows or columns.",
    )
