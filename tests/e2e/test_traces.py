"""The searcher for secrets finds what is planted: in each form, and in each place."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaProducer

from tests.support import events_topic
from tests.support.traces import (
    Trace,
    byte_traces,
    files_below,
    parquet_tables_below,
    postgres_tables,
    sqlite_tables_below,
    topics,
    traces,
)

VALUE = "Größe~Of+A/Phone=9"
OTHER = "Something~Else"
ADDRESS = "2001:db8:dead:beef::77"

FORMS: list[tuple[str, Callable[[str], bytes]]] = [
    ("text", str.encode),
    ("text", lambda text: text.lower().encode()),
    ("text", lambda text: text.upper().replace("Ö", "ö").replace("SS", "ß").encode()),
    ("text", lambda text: text.casefold().encode()),
    ("hex", lambda text: text.encode().hex().encode()),
    ("hex", lambda text: text.encode().hex().upper().encode()),
    ("base64", lambda text: base64.b64encode(text.encode())),
    ("base64", lambda text: base64.b64encode(b"a" + text.encode() + b"b")),
    ("base64", lambda text: base64.b64encode(b"ab" + text.encode() + b"cd")),
    ("base64", lambda text: base64.b64encode(b"abc" + text.lower().encode() + b"d")),
    ("base64 for URLs", lambda text: base64.urlsafe_b64encode(b"\xff" + text.encode())),
    ("base64 for URLs", lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"=")),
    ("URL", lambda text: quote(text, safe="").encode()),
    ("URL", lambda text: quote_plus(text).lower().encode()),
    ("URL", lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode()),
    ("JSON", lambda text: json.dumps({"it": text}).encode()),
    ("UTF-16", lambda text: text.encode("utf-16")),
    ("UTF-16", lambda text: text.encode("utf-16-be")),
]


@pytest.mark.parametrize(("form", "written"), FORMS)
@pytest.mark.parametrize("before", [b"", b"x", b"\0\xff"])
def test_a_value_is_found_in_each_form(
    form: str, written: Callable[[str], bytes], before: bytes
) -> None:
    contents = [("there", before + written(VALUE) + b"behind"), ("elsewhere", written(OTHER))]
    found = traces([VALUE], contents)
    assert Trace("there", VALUE, form) in found
    assert {one.place for one in found} == {"there"}


def test_an_ipv6_address_is_found_in_its_16_bytes() -> None:
    packed = bytes.fromhex("20010db8deadbeef0000000000000077")
    assert traces([ADDRESS], [("there", b"a" + packed)]) == [Trace("there", ADDRESS, "packed")]


def test_a_value_is_found_in_files_and_in_sqlite(tmp_path: Path) -> None:
    (tmp_path / "deep" / "below").mkdir(parents=True)
    (tmp_path / "deep" / "below" / "file").write_text(f"a{VALUE}b")
    with closing(sqlite3.connect(tmp_path / "deep" / "some.db")) as database:
        database.execute('CREATE TABLE "a table" (id INTEGER, text TEXT, bytes BLOB)')
        # Too long for one page: in the file it is in pieces.
        split = "x" * 4000 + VALUE * 40
        database.execute('INSERT INTO "a table" VALUES (1, ?, ?)', (OTHER, split.encode()))
        database.commit()
    assert ("deep/below/file", VALUE) in places(traces([VALUE], files_below(tmp_path)))
    assert places(traces([VALUE, OTHER], sqlite_tables_below(tmp_path))) == {
        ("deep/some.db: a table", OTHER),
        ("deep/some.db: a table", VALUE),
    }


def test_a_value_is_found_in_postgresql(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as database:
        database.execute("CREATE SCHEMA mine")
        database.execute("CREATE TABLE mine.texts (text text)")
        database.execute("CREATE TABLE bytes (bytes bytea)")
        database.execute("INSERT INTO mine.texts VALUES (%s)", (VALUE,))
        database.execute("INSERT INTO bytes VALUES (%s)", (base64.b64encode(VALUE.encode()),))
        database.commit()
        assert places(traces([VALUE], postgres_tables(postgres_database))) == {
            ("mine.texts", VALUE),
            ("public.bytes", VALUE),
        }


@pytest.mark.parametrize("place", ["key", "value", "header"])
async def test_a_value_is_found_in_a_compressed_topic(kafka: str, place: str) -> None:
    topic = f"traces-{place}"
    await events_topic.make_topics(kafka, 1, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, compression_type="gzip")
    await producer.start()
    try:
        parts = {name: VALUE.encode() if name == place else b"none" for name in ("key", "value")}
        headers = [("header", VALUE.encode() if place == "header" else b"none")]
        await producer.send_and_wait(topic, **parts, headers=headers)
    finally:
        await producer.stop()
    contents = [content async for content in topics(kafka)]
    assert (topic, VALUE) in places(traces([VALUE], contents))


def places(found: list[Trace]) -> set[tuple[str, str]]:
    """What was found where, in whatever forms."""
    return {(one.place, one.value) for one in found}


KEY = bytes(range(200, 232))


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("raw", KEY),
        ("hex", KEY.hex().encode()),
        ("hex", KEY.hex().upper().encode()),
        ("base64", base64.b64encode(KEY)),
        ("base64", base64.b64encode(b"a" + KEY + b"bc")),
        ("base64", base64.b64encode(b"ab" + KEY)),
        ("base64 for URLs", base64.urlsafe_b64encode(b"{" + KEY).rstrip(b"=")),
    ],
)
def test_a_key_is_found_in_each_form(form: str, written: bytes) -> None:
    contents = [("there", b"before " + written + b" behind"), ("elsewhere", bytes(64))]
    found = byte_traces({"the key": KEY}, contents)
    assert Trace("there", "the key", form) in found
    assert {one.place for one in found} == {"there"}


def test_a_value_is_found_in_a_compressed_parquet_file(tmp_path: Path) -> None:
    column = pa.array([f"{VALUE} {number}" for number in range(1000)])
    pq.write_table(pa.table({"column": column}), tmp_path / "a.parquet", compression="zstd")
    found = traces([VALUE], parquet_tables_below(tmp_path))
    assert {one.place for one in found} == {"a.parquet: rows"}
