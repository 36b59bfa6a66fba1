"""What of the access topic becomes a leaf, whoever wrote it there."""

import orjson
import pytest

from device_ledger.proofs import leaf_hash
from device_ledger.relay.access_log import _leaf
from device_ledger.trees.store import Leaf

RECORD = {"id": "r", "source": "s", "type": "t", "time": "now", "data": {"bankId": "bank-1"}}


@pytest.mark.parametrize(
    ("record", "ref", "bank_id"),
    [
        (RECORD, "r", "bank-1"),
        (RECORD | {"id": {}}, "", "bank-1"),
        (RECORD | {"id": 7}, "", "bank-1"),
        (RECORD | {"id": "a\0b"}, "", "bank-1"),
        (RECORD | {"data": {"bankId": ["bank-1"]}}, "r", None),
        (RECORD | {"data": {"bankId": "a\0b"}}, "r", None),
        (RECORD | {"data": []}, "", None),
        ({}, "", None),
    ],
)
def test_a_line_that_no_api_wrote_is_a_leaf_that_every_store_takes(
    record: dict[str, object], ref: str, bank_id: str | None
) -> None:
    line = orjson.dumps(record)
    assert _leaf(line) == Leaf(leaf_hash(line), ref, bank_id)
