"""Headers, dependencies and parameters that many routes have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Query

from admin.api.paging import Paging
from admin.api.problems import ApiProblem
from policy.timestamps import TIMESTAMP_HINT, parse_timestamp

IfMatch = Annotated[str | None, Header(description="The ETag that the change is based on.")]
IfNoneMatch = Annotated[str | None, Header(description="An ETag that the caller has.")]
PagingParam = Annotated[Paging, Depends()]
Reason = Annotated[str, Query(max_length=200, description="For the audit log.")]


def time_of(name: str, text: object) -> float | None:
    """Seconds since the epoch of a parameter; None: it is not given. Raises ApiProblem."""
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError("is not a text")
        return parse_timestamp(text)
    except ValueError as error:
        problem = (f"query.{name}", str(error), TIMESTAMP_HINT)
        raise ApiProblem(422, "invalid", "a time is not valid", errors=[problem]) from None
