"""ETag, If-Match, If-None-Match (RFC 9110 section 13, RFC 6585 section 3): nobody overwrites what it has not seen."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from admin.api.problems import ApiProblem
from admin.services.errors import NotFound

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_LIST = re.compile(r'\s*(?:(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*|$))+')
_READ_IT = "GET it, and send its ETag as If-Match."


def as_header(etag: str) -> str:
    return f'"{etag}"'


def required_match(header: str | None) -> str:
    """The one strong ETag that a change must be based on.

    Raises ApiProblem: 428 without If-Match, 412 for `*`, weak and several ones: a change is based on one state.
    """
    if header is None:
        raise ApiProblem(428, "precondition-required", "the change needs If-Match", hint=_READ_IT)
    tags = parse_tags(header)
    if len(tags) != 1 or tags[0][0]:
        raise ApiProblem(412, "changed-meanwhile", "If-Match must be one ETag as it was given", hint=_READ_IT)
    return tags[0][1]


def optional_match(header: str | None) -> str | None:
    """As `required_match`, for what may be changed without."""
    return None if header is None else required_match(header)


async def match_if_there(header: str | None, read: Callable[[], Awaitable[object]]) -> str | None:
    """For PUT of what may be there: None for what is not. Raises ApiProblem (428) for what is, without If-Match."""
    if header is not None:
        return required_match(header)
    try:
        await read()
    except NotFound:
        return None
    return required_match(None)


def is_known(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names this state: the caller has it. Compared weakly, as it should be."""
    if header is None:
        return False
    return header.strip() == "*" or any(tag == etag for _, tag in parse_tags(header))


def parse_tags(header: str) -> list[tuple[bool, str]]:
    """(weak, tag) of each. Raises ApiProblem (400) for what is no list of ETags; `*` is none."""
    if header.strip() == "*":
        return []
    if _LIST.fullmatch(header) is None:
        raise ApiProblem(400, "bad-header", "If-Match and If-None-Match hold ETags in quotes", hint=_READ_IT)
    return [(bool(weak), tag) for weak, tag in _TAG.findall(header)]
