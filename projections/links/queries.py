"""A bank's list of its linked devices: pages, cursors, search and totals."""

from dataclasses import dataclass
from typing import Any, Literal

from projections.links.apply import MODEL, Link, bank_mark
from projections.readers import ReadModels, Shown, Statement

Sort = Literal["linked_at", "customer_id"]

COUNTED = 10_000
"""Matches of a search that are counted; beyond, the total is a minimum."""

_COLUMNS = ", ".join(MODEL.columns)
_SHORTEST_INDEXED = 3


@dataclass(frozen=True, slots=True)
class Search:
    """A part of a customer ID, model or brand in any case; or a whole device ID or phrase."""

    text: str
    device_token: str
    phrase_token: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of a bank's links."""

    bank_id: str
    customer_id: str | None = None
    search: Search | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of links and how many there are; ``total`` may be a minimum where searched."""

    links: list[Link]
    total: int
    total_is_minimum: bool


async def page(
    models: ReadModels,
    filtered: Filter,
    *,
    sort: Sort = "linked_at",
    descending: bool = True,
    limit: int,
    offset: int = 0,
    after: tuple[str, str] | None = None,
) -> Shown[Page]:
    """A page in that order, equal values by device token.

    ``after`` goes on below the row of that sort value and device token, at the same cost at any
    depth; ``offset`` skips rows.

    Raises:
        NotReadyError: the read model can't be read.
    """
    where, values = await _conditions(models, filtered)
    total = _total(filtered, where, values)
    direction, comparison = ("DESC", "<") if descending else ("ASC", ">")
    if after:
        where = f"{where} AND ({sort}, device_token) {comparison} (:after_value, :after_token)"
        values = values | {"after_value": after[0], "after_token": after[1]}
    # A customer's few links are found by customer and then sorted, never looked for by time.
    order = sort if filtered.customer_id is None else f"{sort} || ''"
    rows_sql = (
        f"SELECT {_COLUMNS} FROM links WHERE {where}"
        f" ORDER BY {order} {direction}, device_token {direction} LIMIT :most OFFSET :skipped"
    )
    asked = (rows_sql, values | {"most": limit, "skipped": offset})
    shown = await models.read(MODEL.name, asked, total, slow=filtered.search is not None)
    rows, [[count]] = shown.value
    capped = filtered.search is not None and count > COUNTED
    links = [Link._make(row) for row in rows]
    return Shown(Page(links, COUNTED if capped else int(count), capped), shown.position)


async def matches(models: ReadModels, filtered: Filter, *, most: int) -> Shown[list[Link] | None]:
    """All matches, in no order, or ``None`` where there are more than ``most``.

    Raises:
        NotReadyError: the read model can't be read.
    """
    where, values = await _conditions(models, filtered)
    statement = f"SELECT {_COLUMNS} FROM links WHERE {where} LIMIT :most"
    asked = (statement, values | {"most": most + 1})
    shown = await models.read(MODEL.name, asked, slow=filtered.search is not None)
    [rows] = shown.value
    links = [Link._make(row) for row in rows] if len(rows) <= most else None
    return Shown(links, shown.position)


def _total(filtered: Filter, where: str, values: dict[str, Any]) -> Statement:
    if filtered.search:
        counted = f"SELECT 1 FROM links WHERE {where} LIMIT {COUNTED + 1}"
        return f"SELECT count(*) FROM ({counted}) AS counted", values
    if filtered.customer_id is not None:
        return f"SELECT count(*) FROM links WHERE {where}", values
    return "SELECT coalesce(sum(total), 0) FROM counts WHERE value = :bank_id", values


async def _conditions(models: ReadModels, filtered: Filter) -> tuple[str, dict[str, Any]]:
    where = "bank_id = :bank_id"
    values: dict[str, Any] = {"bank_id": filtered.bank_id}
    if filtered.customer_id is not None:
        where += " AND customer_id = :customer_id"
        values["customer_id"] = filtered.customer_id
    if filtered.search:
        search = filtered.search
        values |= {"device_token": search.device_token, "phrase_token": search.phrase_token}
        text, text_values = await _containing(models, filtered, search.text.lower())
        where += f" AND ({text})"
        values |= text_values
    return where, values


async def _containing(
    models: ReadModels, filtered: Filter, text: str
) -> tuple[str, dict[str, Any]]:
    tokens = "device_token = :device_token OR phrase_token = :phrase_token"
    if "\n" in text:
        # Lines keep apart what a search sees.
        return tokens, {}
    if models.engine == "postgresql":
        escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        return f"search_text LIKE :pattern OR {tokens}", {"pattern": f"%{escaped}%"}
    if len(text) >= _SHORTEST_INDEXED and filtered.customer_id is None:
        quoted = text.replace('"', '""')
        match = {"match": f'"{bank_mark(filtered.bank_id)}" AND "{quoted}"'}
        if await _are_few(models, match):
            found = "SELECT rowid FROM links_text WHERE links_text MATCH :match"
            exact = f"SELECT rowid FROM links WHERE {tokens}"
            return f"rowid IN ({found} UNION {exact})", match
    # Too short for the index, few rows anyway, or so many matches that a page is soon full.
    return f"instr(search_text, :text) > 0 OR {tokens}", {"text": text}


async def _are_few(models: ReadModels, match: dict[str, str]) -> bool:
    found = f"SELECT rowid FROM links_text WHERE links_text MATCH :match LIMIT {COUNTED + 1}"
    shown = await models.read(MODEL.name, (f"SELECT count(*) FROM ({found})", match), slow=True)
    [[[count]]] = shown.value
    return bool(count <= COUNTED)
