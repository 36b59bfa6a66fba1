"""A bank's list of its linked devices: pages, cursors, search and totals."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from projections.links.apply import GRAM, MODEL, Link, bank_mark, grams_of
from projections.readers import ReadModels, Shown, Statement

Sort = Literal["linked_at", "customer_id"]

COUNTED = 10_000
"""Matches of a search that are counted; beyond, the total is a minimum."""

_INDEXED_MIN = 3
"""Letters from which PostgreSQL is asked for what begins so: fewer begin almost everything."""

_COLUMNS = ", ".join(MODEL.columns)
_TOKENS = "device_token = :device_token OR phrase_token = :phrase_token"


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


@dataclass(frozen=True, slots=True)
class _Matching:
    """What matches: a condition and its parameters.

    ``few``: they are found by an index and then sorted, never looked for in the order asked.
    ``covered``: the index has all that they are sorted by, so that only a page's rows are read.
    ``many``: they are known to be more than ``COUNTED``.
    """

    where: str
    values: dict[str, Any]
    few: bool = False
    covered: bool = False
    many: bool = False


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
    found = await _matching(models, filtered)
    rows_sql, values = _in_order(models, found, sort, descending, after)
    asked = (rows_sql, {**values, "most": limit, "skipped": offset})
    searched = filtered.search is not None
    shown = await models.read(MODEL.name, asked, _total(filtered, found), slow=searched)
    rows, [[count]] = shown.value
    capped = searched and count > COUNTED
    links = [Link._make(row) for row in rows]
    return Shown(Page(links, COUNTED if capped else int(count), capped), shown.position)


def _in_order(
    models: ReadModels,
    found: _Matching,
    sort: Sort,
    descending: bool,
    after: tuple[str, str] | None,
) -> Statement:
    """The ``:most`` rows of that order behind ``:skipped``."""
    where, values = found.where, found.values
    direction, comparison = ("DESC", "<") if descending else ("ASC", ">")
    # What no index has keeps the planner from walking through the bank in that order.
    order = f"{sort} || ''" if found.few else sort
    if after:
        where = f"{where} AND ({order}, device_token) {comparison} (:after_value, :after_token)"
        values = values | {"after_value": after[0], "after_token": after[1]}
    by = f"{direction}, device_token {direction}"
    chosen = f"FROM links WHERE {where} ORDER BY {order} {by} LIMIT :most OFFSET :skipped"
    if found.covered:
        key = "rowid" if models.engine == "sqlite" else "device_token"
        chosen = f"FROM links WHERE {key} IN (SELECT {key} {chosen}) ORDER BY {sort} {by}"
    return f"SELECT {_COLUMNS} {chosen}", values


async def matches(models: ReadModels, filtered: Filter, *, most: int) -> Shown[list[Link] | None]:
    """All matches, in no order, or ``None`` where there are more than ``most``.

    Raises:
        NotReadyError: the read model can't be read.
    """
    found = await _matching(models, filtered)
    statement = f"SELECT {_COLUMNS} FROM links WHERE {found.where} LIMIT :most"
    asked = (statement, found.values | {"most": most + 1})
    shown = await models.read(MODEL.name, asked, slow=filtered.search is not None)
    [rows] = shown.value
    links = [Link._make(row) for row in rows] if len(rows) <= most else None
    return Shown(links, shown.position)


def _total(filtered: Filter, found: _Matching) -> Statement:
    if found.many:
        return f"SELECT {COUNTED + 1}", {}
    if filtered.search:
        counted = f"SELECT 1 FROM links WHERE {found.where} LIMIT {COUNTED + 1}"
        return f"SELECT count(*) FROM ({counted}) AS counted", found.values
    if filtered.customer_id is not None:
        return f"SELECT count(*) FROM links WHERE {found.where}", found.values
    return "SELECT coalesce(sum(total), 0) FROM counts WHERE value = :bank_id", found.values


async def _matching(models: ReadModels, filtered: Filter) -> _Matching:
    values: dict[str, Any] = {"bank_id": filtered.bank_id}
    if filtered.search:
        values |= {
            "device_token": filtered.search.device_token,
            "phrase_token": filtered.search.phrase_token,
        }
    if filtered.customer_id is not None:
        # A customer's few links are found by customer and then looked through.
        where = "bank_id = :bank_id AND customer_id = :customer_id"
        values["customer_id"] = filtered.customer_id
        if filtered.search is None:
            return _Matching(where, values, few=True, covered=True)
        text, text_values = _read_through(models, filtered.search.text.lower())
        return _Matching(f"{where} AND ({text})", values | text_values, few=True)
    if filtered.search is None:
        return _Matching("bank_id = :bank_id", values)
    found = await _containing(models, filtered.bank_id, filtered.search.text.lower())
    return replace(found, values=values | found.values)


def _read_through(models: ReadModels, text: str) -> tuple[str, dict[str, Any]]:
    """The condition of a search that rows are held against, one by one."""
    if "\n" in text:
        # Lines keep apart what a search sees.
        return _TOKENS, {}
    function = "strpos" if models.engine == "postgresql" else "instr"
    return f"{function}(search_text, :text) > 0 OR {_TOKENS}", {"text": text}


async def _containing(models: ReadModels, bank_id: str, text: str) -> _Matching:
    """The condition of a search in a bank's links, so that an index finds what it can."""
    if models.engine == "postgresql":
        where, values = _in_postgres(bank_id, text)
        return _Matching(f"bank_id = :bank_id AND ({where})", values)
    if "\n" in text:
        return _Matching(f"+bank_id = :bank_id AND ({_TOKENS})", {}, few=True)
    quoted = ['"{}"'.format(word.replace('"', '""')) for word in _words(bank_id, text)]
    match = " AND ".join(quoted) + ("*" if len(text) < GRAM else "")
    through, values = _read_through(models, text)
    if await _are_few(models, match):
        found = "SELECT rowid FROM links_text WHERE links_text MATCH :match"
        exact = f"SELECT rowid FROM links WHERE {_TOKENS}"
        # The plus keeps the planner from walking through the whole bank.
        where = f"rowid IN ({found} UNION {exact}) AND +bank_id = :bank_id AND ({through})"
        return _Matching(where, {"match": match} | values, few=True)
    # So many that a page is soon full.
    return _Matching(f"bank_id = :bank_id AND ({through})", values, many=True)


def _words(bank_id: str, text: str) -> list[str]:
    """What an index has of the bank's rows with a text: a short one only begins the last."""
    return [bank_mark(bank_id), *(_telling(text) or grams_of(text)[:1])]


def _telling(text: str) -> list[str]:
    """Whole grams of a text from its end, its middle and its begin: few rows have all of them."""
    grams = grams_of(text)[: max(len(text) - GRAM + 1, 0)]
    return list(dict.fromkeys(grams[place] for place in (-1, len(grams) // 2, 0))) if grams else []


def _in_postgres(bank_id: str, text: str) -> tuple[str, dict[str, Any]]:
    if "\n" in text:
        return _TOKENS, {}
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    through, values = "search_text LIKE :pattern", {"pattern": f"%{escaped}%"}
    if len(text) >= _INDEXED_MIN:
        escaped_words = [
            word.replace("\\", r"\\").replace("'", "''") for word in _words(bank_id, text)
        ]
        quoted = " & ".join(f"'{word}'" for word in escaped_words)
        values["words"] = quoted + (":*" if len(text) < GRAM else "")
        # The planner knows which words are common: those it rather looks for in the order asked.
        through = f"words @@ CAST(:words AS tsquery) AND {through}"
    return f"{through} OR {_TOKENS}", values


async def _are_few(models: ReadModels, match: str) -> bool:
    found = f"SELECT rowid FROM links_text WHERE links_text MATCH :match LIMIT {COUNTED + 1}"
    asked = (f"SELECT count(*) FROM ({found})", {"match": match})
    shown = await models.read(MODEL.name, asked, slow=True)
    [[[count]]] = shown.value
    return bool(count <= COUNTED)
