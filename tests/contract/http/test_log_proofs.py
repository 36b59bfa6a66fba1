"""Checkpoints and proofs over HTTP, checked as an outsider would."""

import base64
from typing import Any

import httpx
import pytest

from device_ledger.proofs import (
    VerifierKey,
    leaf_hash,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from device_ledger.relay.events_log import EventsLog
from device_ledger.relay.signing import Signing
from device_ledger.trees.names import ensure_log_key
from device_ledger.trees.store import Leaf, Standing
from device_ledger.wire.access import LOG_READ
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from tests.contract.http.conftest import ON_BOTH
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.logs import signer

OURS = "019a0000-0000-7000-8000-000000000001"
THEIRS = "019a0000-0000-7000-8000-000000000002"
NOBODYS = "019a0000-0000-7000-8000-000000000003"


async def links(api: Installation, *numbers: int, bank: str = "bank-1") -> None:
    """Link devices of a bank: two events each."""
    for number in numbers:
        body = {"customerId": f"c-{number}", "phrase": f"p {number}", "deviceId": f"d-{number}"}
        assert (await api.command("link", body, api.bank(bank))).status_code == 200


def sign(api: Installation) -> None:
    """Do what the relay does: grow the events' tree, and sign it."""
    ensure_log_key(api.settings)
    events, store = api.services.ledger.events, api.services.security.trees
    store.prepare()
    log = EventsLog(events, store, Signing(store, EVENTS_LOG, signer(api.settings, events)))
    log.open()
    log.grow(1 << 62)


def sign_access(api: Installation) -> None:
    """An access log of three records, of a bank each but for the last."""
    ensure_log_key(api.settings)
    store = api.services.security.trees
    store.prepare()
    signing = Signing(
        store, ACCESS_LOG, signer(api.settings, api.services.ledger.events, ACCESS_LOG)
    )
    signing.open()
    leaves = [
        Leaf(leaf_hash(b"1"), OURS, "bank-1"),
        Leaf(leaf_hash(b"2"), THEIRS, "bank-2"),
        Leaf(leaf_hash(b"3"), NOBODYS),
    ]
    signing.append(Standing(), leaves, 2)


async def ask(
    api: Installation, path: str, headers: dict[str, str] | None = None, **query: Any
) -> httpx.Response:
    return await api.client.get(
        f"/v1/security/log/{path}", params=query, headers=headers or api.token("security")
    )


async def told(api: Installation, path: str, **query: Any) -> dict[str, Any]:
    response = await ask(api, path, **query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refs(api: Installation) -> list[str]:
    """The ids of all public events."""
    store = api.services.security.trees
    return [store.ref_of(EVENTS_LOG, leaf) for leaf in range(store.standing(EVENTS_LOG).size)]


def hashes(encoded: list[str]) -> list[bytes]:
    return [base64.b64decode(one) for one in encoded]


@ON_BOTH
async def test_every_event_is_proven_to_whoever_has_the_key(api: Installation) -> None:
    await links(api, *range(5))
    sign(api)
    key = VerifierKey.parse((await told(api, "key"))["verifierKey"])
    newest = await told(api, "checkpoint")
    checkpoint = open_checkpoint(newest["checkpoint"], [key])
    assert (checkpoint.size, newest["size"], newest["position"]) == (10, 10, int(refs(api)[-1]))
    for index, ref in enumerate(refs(api)):
        proof = await told(api, "proof/inclusion", ref=ref)
        assert (proof["index"], proof["checkpoint"]) == (index, newest["checkpoint"])
        hashed = leaf_hash(proof["leaf"].encode())
        assert base64.b64decode(proof["leafHash"]) == hashed
        verify_inclusion(hashed, index, checkpoint.size, hashes(proof["path"]), checkpoint.root)


async def test_a_later_checkpoint_is_proven_to_extend_the_earlier(api: Installation) -> None:
    await links(api, 1, 2, 3)
    sign(api)
    earlier = await told(api, "checkpoint")
    await links(api, 4, 5)
    sign(api)
    later = await told(api, "checkpoint")
    assert (earlier["size"], later["size"]) == (6, 10)
    proof = await told(api, "proof/consistency", **{"from": 6})
    assert (proof["to"], proof["fromRoot"], proof["toRoot"]) == (
        10,
        earlier["root"],
        later["root"],
    )
    roots = hashes([earlier["root"], later["root"]])
    verify_consistency(6, 10, hashes(proof["path"]), *roots)


async def test_an_inclusion_is_proven_in_an_earlier_tree_too(api: Installation) -> None:
    await links(api, 1, 2, 3)
    sign(api)
    earlier = await told(api, "checkpoint")
    await links(api, 4)
    sign(api)
    ref = refs(api)[5]
    proof = await told(api, "proof/inclusion", ref=ref, size=6)
    assert (proof["root"], proof["checkpoint"]) == (earlier["root"], earlier["checkpoint"])
    between = await told(api, "proof/inclusion", ref=ref, size=7)
    assert (between["size"], between["checkpoint"]) == (7, None)
    assert (await ask(api, "proof/inclusion", ref=ref, size=5)).status_code == 404
    assert (await ask(api, "proof/inclusion", ref=ref, size=9)).status_code == 404


async def test_an_officer_of_a_bank_gets_proofs_of_that_banks_records_only(
    api: Installation,
) -> None:
    await links(api, 1)
    await links(api, 2, bank="bank-2")
    sign(api)
    sign_access(api)
    officer = api.token("security", bank_id="bank-1")
    found = [(await ask(api, "proof/inclusion", officer, ref=ref)).status_code for ref in refs(api)]
    assert found == [200, 200, 404, 404]
    shown = [
        (await ask(api, "proof/inclusion", headers, ref=ref, log="access")).status_code
        for headers in (officer, api.token("security"))
        for ref in (OURS, THEIRS, NOBODYS)
    ]
    assert shown == [200, 404, 404, 200, 200, 200]
    other = await ask(api, "proof/inclusion", officer, ref=refs(api)[2])
    missing = await ask(api, "proof/inclusion", officer, ref="99999")
    assert other.json() == missing.json()
    assert (await ask(api, "checkpoint", officer)).status_code == 200
    assert (await ask(api, "proof/consistency", officer, **{"from": 1})).status_code == 200


async def test_an_access_record_is_proven_by_its_id(api: Installation) -> None:
    sign_access(api)
    proof = await told(api, "proof/inclusion", ref=THEIRS.upper(), log="access")
    newest = await told(api, "checkpoint", log="access")
    assert (proof["index"], proof["leaf"], newest["position"]) == (1, None, 2)
    key = VerifierKey.parse((await told(api, "key", log="access"))["verifierKey"])
    root = open_checkpoint(newest["checkpoint"], [key]).root
    verify_inclusion(leaf_hash(b"2"), 1, 3, hashes(proof["path"]), root)


async def test_before_anything_is_signed_there_is_nothing_to_prove(api: Installation) -> None:
    assert (await ask(api, "checkpoint")).status_code == 503
    api.services.security.trees.prepare()
    for path, query in (
        ("key", {}),
        ("checkpoint", {}),
        ("proof/inclusion", {"ref": "1"}),
        ("proof/consistency", {"from": 0}),
    ):
        assert (await ask(api, path, **query)).status_code == 404


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("checkpoint", {"log": "other"}, "log"),
        ("proof/inclusion", {"ref": "x"}, "ref"),
        ("proof/inclusion", {"ref": "1", "log": "access"}, None),
        ("proof/inclusion", {"ref": OURS}, None),
        ("proof/inclusion", {"ref": "1", "size": 0}, "size"),
        ("proof/inclusion", {}, "ref"),
        ("proof/consistency", {"from": 3, "to": 2}, "from"),
        ("proof/consistency", {"from": 1, "to": 99}, "to"),
        ("proof/consistency", {"from": -1}, "from"),
    ],
)
async def test_what_can_not_be_asked_is_refused(
    api: Installation, path: str, query: dict[str, Any], field: str | None
) -> None:
    await links(api, 1, 2)
    sign(api)
    response = await ask(api, path, **query)
    assert (response.status_code, response.json().get("field")) == (400, field)


async def test_whoever_reads_the_log_is_recorded(api: Installation) -> None:
    await links(api, 1)
    sign(api)
    ref = refs(api)[0]
    await told(api, "checkpoint")
    await told(api, "proof/inclusion", ref=ref)
    await ask(api, "proof/inclusion", api.token("security", bank_id="bank-2"), ref=ref)
    assert [
        (one.data["outcome"], one.data.get("about"), one.data.get("bankId"))
        for one in spooled(api.settings.home)
        if one.type == LOG_READ
    ] == [("done", None, None), ("found", ref, None), ("not-found", ref, "bank-2")]
