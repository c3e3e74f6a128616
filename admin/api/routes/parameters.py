"""Headers and dependencies that many routes have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Query

from admin.api.paging import Paging

IfMatch = Annotated[str | None, Header(description="The ETag that the change is based on.")]
IfNoneMatch = Annotated[str | None, Header(description="An ETag that the caller has.")]
PagingParam = Annotated[Paging, Depends()]
Reason = Annotated[str, Query(max_length=200, description="For the audit log.")]
