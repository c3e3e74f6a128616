"""Every route over a real store: what it answers, what it changes, and under which conditions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.admin_api.stage import Api


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_tenants_from_making_to_deletion(api: Api) -> None:
    body = {"id": "new", "isolation": "shared", "target": "main", "quotas": {"connections": 5}}
    made = await api.call("olga", "POST", "/tenants", body)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/tenants/new"
    assert made.json() == {**body, "provisioned": []}
    read = await api.call("olga", "GET", "/tenants/new")
    assert read.json() == body
    assert read.headers["etag"] == made.headers["etag"]
    assert (
        await api.call("olga", "GET", "/tenants/new", headers={"If-None-Match": read.headers["etag"]})
    ).status_code == 304

    put = await api.change("olga", "PUT", "/tenants/new", {**read.json(), "tier": "pro"})
    assert (put.status_code, put.json()["tier"]) == (200, "pro")
    assert put.headers["etag"] != read.headers["etag"]
    patched = await api.change("olga", "PATCH", "/tenants/new", {"quotas": None, "name": "New"})
    assert patched.json() == {"id": "new", "isolation": "shared", "target": "main", "tier": "pro", "name": "New"}
    headers = {"If-Match": patched.headers["etag"], "Content-Type": "application/merge-patch+json"}
    merged = await api.call("olga", "PATCH", "/tenants/new", b'{"name": "Newer"}', headers=headers)
    assert merged.json()["name"] == "Newer"

    await api.change("olga", "PUT", "/tenants/new/quotas", {"connections": 7})
    assert (await api.call("olga", "GET", "/tenants/new/quotas")).json() == {"connections": 7}
    flags = await api.change("olga", "PUT", "/tenants/new/flags", {"copy": False})
    assert flags.status_code == 200, flags.text
    assert (await api.call("olga", "GET", "/tenants/new/flags")).json() == {"copy": "off"}

    assert (await api.call("olga", "POST", "/tenants/new/suspend?reason=unpaid")).json()["status"] == "suspended"
    assert ids(await api.call("olga", "GET", "/tenants?status=suspended")) == ["new"]
    assert "status" not in (await api.call("olga", "POST", "/tenants/new/resume")).json()

    for query, status in (
        ("", 422),
        ("?data=keep", 403),
        ("?data=keep&confirm=old", 403),
        ("?data=destroy&confirm=new", 422),  # no administrator of the target is configured
    ):
        assert (await api.change("olga", "DELETE", f"/tenants/new{query}")).status_code == status, query
    gone = await api.change("olga", "DELETE", "/tenants/new?data=keep&confirm=new")
    assert gone.json() == {"id": "new", "removed": [], "export": None}
    assert (await api.call("olga", "GET", "/tenants/new")).status_code == 404


async def test_lists_are_filtered_and_paged(api: Api) -> None:
    every = ["acme", "globex", "holding", "sub-a", "sub-a-1", "sub-b"]
    assert ids(await api.call("olga", "GET", "/tenants")) == every
    assert ids(await api.call("olga", "GET", "/tenants?parent=holding")) == ["sub-a", "sub-b"]
    assert ids(await api.call("olga", "GET", "/tenants?search=ACM")) == ["acme"]
    assert ids(await api.call("olga", "GET", "/tenants?tier=gold")) == ["acme"]
    assert ids(await api.call("olga", "GET", "/tenants/holding/children")) == ["sub-a", "sub-b"]
    found: list[str] = []
    cursor = ""
    while True:
        answer = (await api.call("olga", "GET", f"/tenants?limit=4{cursor}")).json()
        found += [item["id"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert found == every


async def test_roles_and_who_has_them(api: Api) -> None:
    body = {"id": "reader", "permissions": ["table:orders:read"], "row_filters": {"orders": "id > 0"}}
    made = await api.call("olga", "POST", "/roles", body)
    assert made.status_code == 201, made.text
    assert (await api.call("olga", "POST", "/roles", body)).status_code == 409
    changed = await api.change("olga", "PUT", "/roles/reader", {"permissions": ["table:orders:write"]})
    assert changed.json()["permissions"] == ["table:public.orders:write"]
    assert "reader" in ids(await api.call("olga", "GET", "/roles"))

    assert ids(await api.call("ann", "GET", "/roles")) == ["acme/clerk"]
    own = await api.call("ann", "POST", "/roles", {"id": "acme/boss", "inherits": ["acme/clerk"]})
    assert own.status_code == 201, own.text
    given = await api.call("ann", "PUT", "/users/bea/roles", {"roles": ["acme/boss"]})
    assert given.status_code == 200, given.text
    assert given.json()["subject"] == "bea"
    assert ids(await api.call("ann", "GET", "/users/bea/roles")) == ["bea@acme"]
    assert ids(await api.call("ann", "GET", "/tenants/acme/users")) == ["bea@acme", "first-ada", "first-ann"]
    in_use = await api.change("ann", "DELETE", "/roles/acme/boss")
    assert in_use.status_code == 422
    assert (await api.call("ann", "PUT", "/users/bea/roles", {"roles": []})).status_code == 428
    etag = given.headers["etag"]
    assert (await api.call("ann", "DELETE", "/users/bea/roles", headers={"If-Match": etag})).status_code == 204
    assert (await api.change("ann", "DELETE", "/roles/acme/boss")).status_code == 204


async def test_targets_and_what_is_on_them(api: Api) -> None:
    assert ids(await api.call("olga", "GET", "/targets")) == ["main"]
    assert (await api.call("olga", "PUT", "/targets/eu", {"database": "eu"})).status_code == 200
    assert (await api.call("olga", "PUT", "/targets/eu", {"database": "eu2"})).status_code == 428
    assert (await api.change("olga", "PUT", "/targets/eu", {"database": "eu2"})).status_code == 200
    assert (await api.change("olga", "DELETE", "/targets/eu")).status_code == 204
    assert (await api.change("olga", "DELETE", "/targets/main")).status_code == 409
    tables = await api.change(
        "olga", "PUT", "/targets/main/tables", {"orders": {"tenant_column": "tenant_id"}, "t": {"global": True}}
    )
    assert tables.status_code == 200, tables.text
    assert (await api.call("ann", "GET", "/targets/main")).status_code == 404
    assert ids(await api.call("ann", "GET", "/targets")) == []


async def test_tiers_and_flags_are_kept_while_they_are_used(api: Api) -> None:
    flag = await api.call("olga", "PUT", "/flags/exports", {"deny": ["table:*:copy"]})
    assert flag.status_code == 200, flag.text
    gold = await api.call("olga", "PUT", "/tiers/gold", {"quotas": {"connections": 9}, "flags": {"exports": "off"}})
    assert gold.json() == {"id": "gold", "quotas": {"connections": 9}, "flags": {"exports": "off"}}
    assert (await api.call("olga", "PUT", "/tiers/gold", {})).status_code == 428
    assert (await api.call("olga", "PUT", "/tiers/gold", {}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.change("olga", "PUT", "/tiers/gold", {"quotas": {"rows": "many"}})).status_code == 422
    assert (await api.call("olga", "PUT", "/flags/copy", {})).status_code == 422  # built in
    used = await api.change("olga", "DELETE", "/tiers/gold")
    assert (used.status_code, used.json()["detail"]) == (409, 'tier "gold" is that of 1 tenant(s)')
    assert (await api.change("olga", "DELETE", "/flags/exports")).status_code == 422
    assert [ids(await api.call("olga", "GET", path)) for path in ("/tiers", "/flags")] == [["gold"], ["exports"]]
    for path in ("/tiers", "/flags"):
        assert ids(await api.call("ann", "GET", path)) == []
    assert (await api.call("ann", "GET", "/tiers/gold")).status_code == 404
    assert (await api.call("ann", "DELETE", "/tiers/gold", headers={"If-Match": '"1"'})).status_code == 404
    assert (await api.change("olga", "PATCH", "/tenants/acme", {"tier": None})).status_code == 200
    assert (await api.change("olga", "DELETE", "/tiers/gold")).status_code == 204
    assert (await api.change("olga", "DELETE", "/flags/exports")).status_code == 204


async def test_revocations_hold_for_the_api_too(api: Api) -> None:
    token = api.token("ada", jti="the-token")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.call("ada", "GET", "/tenants/acme", headers=headers)).status_code == 200
    revoked = await api.call("ann", "POST", "/tokens/revoke", {"jti": "the-token", "reason": "lost"})
    assert revoked.status_code == 201, revoked.text
    assert (await api.call("ada", "GET", "/tenants/acme", headers=headers)).status_code == 401
    assert (await api.call("ada", "GET", "/tenants/acme")).status_code == 200
    (found,) = (await api.call("ann", "GET", "/tokens/revocations")).json()["items"]
    assert found["tenant"] == "acme"
    assert (await api.call("ann", "DELETE", f"/tokens/revocations/{found['id']}")).status_code == 204
    assert (await api.call("ada", "GET", "/tenants/acme", headers=headers)).status_code == 200


async def test_the_audit_says_who_did_what_and_only_of_ones_own_tenants(api: Api) -> None:
    await api.change("ann", "PATCH", "/tenants/acme", {"owner": "Ann"})
    await api.change("gus", "PATCH", "/tenants/globex", {"owner": "Gus"})
    events = (await api.call("ada", "GET", "/audit?subject=ann")).json()["items"]
    assert [(e["subject"], e["entity"], e["after"]["owner"]) for e in events] == [("ann", "acme", "Ann")]
    assert (await api.call("ada", "GET", "/audit?subject=gus")).json()["items"] == []
    assert len((await api.call("olga", "GET", "/audit?action=replace")).json()["items"]) == 2
    assert (await api.call("ada", "GET", "/audit?since=yesterday")).status_code == 422


async def test_health_and_version_need_no_token_and_the_document_is_openapi_3_1(api: Api) -> None:
    assert (await api.call(None, "GET", "/health")).json() == {"status": "ok", "store": "ok"}
    assert (await api.call(None, "GET", "/version")).json() == {"name": "TenantGate", "version": "test"}
    document = (await api.call(None, "GET", "/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {"/v1/tenants", "/v1/tenants/{tenant_id}/usage", "/v1/users/{subject}/roles"} <= set(document["paths"])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_change_needs_what_it_is_based_on(api: Api, method: str) -> None:
    path = "/tenants/acme" + ("?data=keep&confirm=acme" if method == "DELETE" else "")
    body = (
        None if method == "DELETE" else {"isolation": "shared", "target": "main"} if method == "PUT" else {"name": "x"}
    )
    assert (await api.call("olga", method, path, body)).status_code == 428
    for stale in ('"999"', "*", 'W/"1"', '"1", "2"'):
        assert (await api.call("olga", method, path, body, headers={"If-Match": stale})).status_code == 412, stale
    assert (await api.call("olga", method, path, body, headers={"If-Match": "no quotes"})).status_code == 400


async def test_one_of_two_changes_of_one_state_is_refused(api: Api) -> None:
    etag = await api.etag("olga", "/tenants/acme")
    first = await api.call("olga", "PATCH", "/tenants/acme", {"name": "first"}, headers={"If-Match": etag})
    second = await api.call("olga", "PATCH", "/tenants/acme", {"name": "second"}, headers={"If-Match": etag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert (await api.call("olga", "GET", "/tenants/acme")).json()["name"] == "first"


async def test_a_post_with_a_key_is_done_once(api: Api) -> None:
    body = {"id": "once", "isolation": "shared", "target": "main"}
    headers = {"Idempotency-Key": "k-1"}
    first = await api.call("olga", "POST", "/tenants", body, headers=headers)
    again = await api.call("olga", "POST", "/tenants", body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (first.headers["etag"], first.headers["location"]) == (again.headers["etag"], again.headers["location"])
    assert again.headers["idempotent-replayed"] == "true"
    other = await api.call("olga", "POST", "/tenants", {**body, "id": "other"}, headers=headers)
    assert (other.status_code, other.json()["type"].rsplit("/", 1)[1]) == (422, "key-reused")
    assert (await api.call("olga", "GET", "/tenants/other")).status_code == 404
    # Another person's key is another key, and one whose request failed is free again.
    assert (await api.call("ann", "POST", "/roles", {"id": "acme/k"}, headers=headers)).status_code == 201
    failing = {"Idempotency-Key": "k-2"}
    assert (await api.call("olga", "POST", "/tenants", {**body, "id": "acme"}, headers=failing)).status_code == 409
    assert (await api.call("olga", "POST", "/tenants", {**body, "id": "acme2"}, headers=failing)).status_code == 201
    assert (await api.call("olga", "POST", "/tenants", body, headers={"Idempotency-Key": "k" * 256})).status_code == 422


async def test_everything_that_goes_wrong_is_a_problem(api: Api) -> None:
    cases: list[tuple[str | None, str, str, Any, int]] = [
        ("olga", "GET", "/nowhere", None, 404),
        ("olga", "DELETE", "/health", None, 405),
        (None, "GET", "/tenants", None, 401),
        ("olga", "POST", "/tenants", {"isolation": "shared"}, 422),
        ("olga", "POST", "/tenants", [1], 422),
        ("olga", "GET", "/tenants?limit=0", None, 422),
        ("olga", "GET", "/tenants?cursor=AAAA", None, 400),
        ("ann", "POST", "/tenants", {"id": "x", "isolation": "shared", "target": "main"}, 403),
    ]
    for who, method, path, body, status in cases:
        answer = await api.call(who, method, path, body)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", path
        assert answer.json()["status"] == status
        assert {"type", "title", "detail"} <= answer.json().keys()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    many = await api.call(
        "olga", "POST", "/tenants", {"id": "x y", "isolation": "shard", "target": "mian", "quotas": {"conections": 1}}
    )
    places = {error["at"]: error["hint"] for error in many.json()["errors"]}
    assert len(places) == 4, json.dumps(many.json(), indent=1)
    assert any("main" in hint for hint in places.values())
