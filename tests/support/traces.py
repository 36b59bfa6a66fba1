"""Searching for values in whatever a system leaves behind, in the forms that they may take."""

import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import psycopg
import pyarrow.parquet as pq
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql

from device_ledger.domain.values import normalise_phrase
from tests.support.events_topic import records_of

Content = tuple[str, bytes]
"""A place, and the bytes that lie there."""


@dataclass(frozen=True, order=True)
class Trace:
    """A value that was found, where, and in which form."""

    place: str
    value: str
    form: str


def traces(values: Iterable[str], contents: Iterable[Content]) -> list[Trace]:
    """Where any of these values is found, in any form."""
    sought = [(value, _folded(value), _encoded(value)) for value in values]
    found = set()
    for place, data in contents:
        lower = data.lower()
        for value, folded, encoded in sought:
            forms = {form for form, text in folded if text in lower}
            forms |= {form for form, text in encoded if text in data}
            found |= {Trace(place, value, form) for form in forms}
    return sorted(found)


def byte_traces(secrets: Mapping[str, bytes], contents: Iterable[Content]) -> list[Trace]:
    """Where any of these keys is found, by its name: as it is, in hex or in base64."""
    sought = [
        (name, form, in_base64(secret, before, characters))
        for name, secret in secrets.items()
        for form, characters, before in _BASE64
    ]
    sought += [(name, "raw", secret) for name, secret in secrets.items()]
    found = set()
    for place, data in contents:
        found |= {Trace(place, name, form) for name, form, text in sought if text in data}
        lower = data.lower()
        in_hex = [name for name, secret in secrets.items() if secret.hex().encode() in lower]
        found |= {Trace(place, name, "hex") for name in in_hex}
    return sorted(found)


_BASE64: Final = [
    (name, characters, before)
    for name, characters in (("base64", b"+/"), ("base64 for URLs", b"-_"))
    for before in range(3)
]


def _folded(value: str) -> list[tuple[str, bytes]]:
    """The forms of a value that are searched for in any case."""
    return [(form, text.lower()) for one in _texts(value) for form, text in _forms(one)]


def _encoded(value: str) -> list[tuple[str, bytes]]:
    """The forms of a value in base64: standard and for URLs, after 0, 1 and 2 other bytes."""
    return [
        (name, in_base64(text.encode(), before, characters))
        for text in _texts(value)
        for name, characters, before in _BASE64
    ]


def _texts(value: str) -> list[str]:
    return list(dict.fromkeys((value, value.lower(), value.casefold(), normalise_phrase(value))))


def _forms(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "text", raw
    yield "hex", raw.hex().encode()
    yield "URL", quote(text, safe="").encode()
    yield "URL", quote_plus(text).encode()
    yield "URL", "".join(f"%{byte:02x}" for byte in raw).encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "UTF-16", text.encode("utf-16-le")
    yield "UTF-16", text.encode("utf-16-be")
    with suppress(ValueError):
        yield "packed", IPv6Address(text).packed


def in_base64(raw: bytes, before: int, characters: bytes) -> bytes:
    """What base64 makes of ``raw`` after so many bytes, whatever stands before and behind it."""
    text = base64.b64encode(bytes(before) + raw, characters).rstrip(b"=")
    whole = (before + len(raw)) * 8 // 6
    return text[(before * 8 + 5) // 6 : whole]


def files_below(folder: Path) -> Iterator[Content]:
    """Every file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def sqlite_tables_below(folder: Path) -> Iterator[Content]:
    """Every table of every SQLite database below a folder: its values, one a line."""
    for path in sorted(folder.rglob("*.db")):
        with closing(sqlite3.connect(path)) as database:
            database.text_factory = bytes
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in names.fetchall():
                rows = database.execute(f'SELECT * FROM "{name.decode()}"').fetchall()
                yield f"{path.relative_to(folder)}: {name.decode()}", _lines(rows)


def parquet_tables_below(folder: Path) -> Iterator[Content]:
    """Every Parquet file below a folder, decompressed: its values, one a line."""
    for path in sorted(folder.rglob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        yield f"{path.relative_to(folder)}: rows", _lines(row.values() for row in rows)


def postgres_tables(url: str) -> Iterator[Content]:
    """Every table of a PostgreSQL database: its values, one a line."""
    with psycopg.connect(url) as database:
        names = database.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, name in names:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, name))
            yield f"{schema}.{name}", _lines(database.execute(query).fetchall())


async def topics(servers: str) -> AsyncIterator[Content]:
    """Every topic, decompressed: keys, values and headers of its records, one a line."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        names = await admin.list_topics()
    finally:
        await admin.close()
    for name in sorted(names):
        records = await records_of(servers, name)
        yield (
            name,
            _lines(
                (one.key, one.value, *(part for header in one.headers for part in header))
                for one in records
            ),
        )


def _lines(rows: Iterable[Collection[object]]) -> bytes:
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )
