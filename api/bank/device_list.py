"""List a bank's linked devices: pages, cursors, search and sorting."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access import note_list
from api.callers import BankReader
from api.commands import customer_of
from api.cursor import UnknownCursorError
from api.errors import Refusal
from api.peere import Outcome, answer, errors
from api.reads import MinPosition, Opener, shown_value, wait_for
from api.route import GuardedRoute, add_header
from api.services import Services, services_of
from device_ledger.domain import values
from projections.links import queries
from projections.links.apply import MODEL, Link
from projections.links.queries import Filter, Search

router = APIRouter(prefix="/v1/bank/devices", tags=["bank"], route_class=GuardedRoute)

REACH_MAX: Final = 10_000
"""How far page times limit goes; a cursor goes on to any depth."""
SORTED_HERE_MAX: Final = 1_000
"""Most matches that are sorted by a sealed value."""

SortBy = Literal["linkedAt", "customerId", "deviceId", "phrase"]


def _searchable(text: str) -> str:
    if "\0" in text:
        raise ValueError("search must not have the character NUL")
    return text


class Asked(BaseModel):
    """What the bank asks for."""

    model_config = ConfigDict(extra="ignore")

    page: int = Field(1, ge=1, description="`page` times `limit` is at most 10,000.")
    limit: int = Field(20, ge=1, le=100)
    search: Annotated[str, Field(max_length=256), AfterValidator(_searchable)] | None = Field(
        None,
        description="Part of a customer ID, model or brand in any case, or a whole device ID or"
        " phrase.",
    )
    sortBy: SortBy = Field(  # noqa: N815 - the family's own name
        "linkedAt",
        description="Sorting by deviceId or phrase is served up to 1,000 matches.",
    )
    sortOrder: Literal["asc", "desc"] | None = Field(  # noqa: N815
        None, description="`desc` for linkedAt, else `asc`, unless given."
    )
    customerId: Annotated[str, AfterValidator(values.customer_id)] | None = None  # noqa: N815
    cursor: str | None = Field(
        None, description="From the `next` link of the page before; `page` is then not looked at."
    )


class ListedDevice(BaseModel):
    """A linked device."""

    deviceId: str  # noqa: N815
    customerId: str  # noqa: N815
    phrase: str
    linkedAt: str  # noqa: N815


class DeviceList(BaseModel):
    """A page, and how many there are in all."""

    devices: list[ListedDevice]
    total: int
    page: int
    limit: int


class DeviceListOutcome(Outcome):
    """The answer of the list."""

    data: DeviceList


@dataclass(frozen=True, slots=True)
class _Question:
    """A question as cursors are bound to it."""

    filtered: Filter
    sort_by: SortBy
    descending: bool

    def parts(self) -> list[str]:
        """Bank, filter and sort."""
        search = self.filtered.search
        return [
            "bank-devices",
            self.filtered.bank_id,
            self.filtered.customer_id or "",
            search.text if search else "",
            self.sort_by,
            "desc" if self.descending else "asc",
        ]


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page starts: after a row, or after so many rows."""

    page: int
    skipped: int
    after: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class _Page:
    """A page's rows, opened, and the sort value of its last one where more may follow."""

    devices: list[dict[str, str]]
    total: int
    total_is_minimum: bool
    last: tuple[str, str] | None


@router.get(
    "/list",
    summary="List the bank's linked devices",
    response_model=DeviceListOutcome,
    responses=errors(400, 401, 403, 429, 503),
)
async def list_devices(
    request: Request, bank: BankReader, asked: Annotated[Asked, Query()], position: MinPosition
) -> Response:
    """A page; the next one is in the `Link` header, at the same cost at any depth."""
    services = services_of(request)
    question = _question(services, bank.bank_id, asked)
    start = _start(services, asked, question)
    await wait_for(services, MODEL.name, position)
    if asked.sortBy in ("deviceId", "phrase"):
        page = await _sorted_here(request, services, question, start, asked.limit)
    else:
        page = await _sorted_there(request, services, question, start, asked.limit)
    if page.total_is_minimum:
        add_header(request, "Total-Is-Minimum", "true")
    if page.last is not None:
        cursor = services.cursors.encode([*page.last, start.page + 1], question.parts())
        add_header(request, "Link", _next_link(request, asked, cursor))
    about = customer_of(services, bank.bank_id, asked.customerId) if asked.customerId else None
    await note_list(request, bank, len(page.devices), about)
    return answer(
        "Devices listed successfully",
        {
            "devices": page.devices,
            "total": page.total,
            "page": start.page,
            "limit": asked.limit,
        },
    )


def _question(services: Services, bank_id: str, asked: Asked) -> _Question:
    search = None
    if asked.search:
        tokens = services.tokens
        phrase_token = tokens.phrase(bank_id, values.normalise_phrase(asked.search))
        search = Search(asked.search, tokens.device(asked.search), phrase_token)
    descending = (asked.sortOrder or ("desc" if asked.sortBy == "linkedAt" else "asc")) == "desc"
    return _Question(Filter(bank_id, asked.customerId, search), asked.sortBy, descending)


def _start(services: Services, asked: Asked, question: _Question) -> _Start:
    if asked.cursor is None:
        if asked.page * asked.limit > REACH_MAX:
            message = (
                f"page times limit is at most {REACH_MAX}; the Link header's next goes further"
            )
            raise Refusal(400, "too-deep", message)
        return _Start(asked.page, (asked.page - 1) * asked.limit, None)
    try:
        value, token, page = services.cursors.decode(asked.cursor, question.parts())
    except UnknownCursorError:
        raise Refusal(400, "unknown-cursor", "cursor is not of this list") from None
    return _Start(int(page), 0, (str(value), str(token)))


async def _sorted_there(
    request: Request, services: Services, question: _Question, start: _Start, limit: int
) -> _Page:
    """A page in an order that the read model keeps."""
    sort: queries.Sort = "linked_at" if question.sort_by == "linkedAt" else "customer_id"
    shown = await queries.page(
        services.models,
        question.filtered,
        sort=sort,
        descending=question.descending,
        # One more tells whether there is a next page.
        limit=limit + 1,
        offset=start.skipped,
        after=start.after,
    )
    found = shown_value(request, shown)
    links = found.links[:limit]
    last = links[-1] if len(found.links) > limit else None
    return _Page(
        [_listed(*row) for row in await _opened(services, links)],
        found.total,
        found.total_is_minimum,
        (getattr(last, sort), last.device_token) if last else None,
    )


async def _sorted_here(
    request: Request, services: Services, question: _Question, start: _Start, limit: int
) -> _Page:
    """A page in the order of values that are sealed at rest: all matches are opened for it."""
    shown = await queries.matches(services.models, question.filtered, most=SORTED_HERE_MAX)
    links = shown_value(request, shown)
    if links is None:
        message = (
            f"Sorting by {question.sort_by} is served up to {SORTED_HERE_MAX} matches:"
            " narrow the list with search or customerId"
        )
        raise Refusal(400, "too-many-to-sort", message)
    by_device = question.sort_by == "deviceId"
    rows = sorted(
        (
            (device_id if by_device else phrase, link.device_token, (link, device_id, phrase))
            for link, device_id, phrase in await _opened(services, links)
        ),
        reverse=question.descending,
    )
    if start.after is not None:
        after = start.after
        rows = [
            row for row in rows if (row[:2] < after if question.descending else row[:2] > after)
        ]
    shown_rows = rows[start.skipped : start.skipped + limit]
    more = len(rows) > start.skipped + limit
    return _Page(
        [_listed(*row[2]) for row in shown_rows],
        len(links),
        False,
        shown_rows[-1][:2] if more and shown_rows else None,
    )


async def _opened(services: Services, links: list[Link]) -> list[tuple[Link, str, str]]:
    """Each link with its device ID and phrase; those whose customer's key is gone are left out."""
    opener = await Opener.of(services, links)
    return [
        (
            link,
            opener.open(link, "deviceId", link.sealed_device_id),
            opener.open(link, "phrase", link.sealed_phrase),
        )
        for link in links
        if opener.can_open(link)
    ]


def _listed(link: Link, device_id: str, phrase: str) -> dict[str, str]:
    return {
        "deviceId": device_id,
        "customerId": link.customer_id,
        "phrase": phrase,
        "linkedAt": link.linked_at,
    }


def _next_link(request: Request, asked: Asked, cursor: str) -> str:
    names = ("limit", "search", "sortBy", "sortOrder", "customerId")
    same = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return f'<{request.scope["path"]}?{urlencode(same | {"cursor": cursor})}>; rel="next"'
