"""Replay rules over the history: start, watch, list and cancel."""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, StringConstraints, model_validator

from api.access import note
from api.callers import UUID_PATTERN
from api.errors import Refusal
from api.peere import Body
from api.route import GuardedRoute, add_header
from api.security import rule_files
from api.security.callers import Security, SecurityCaller
from api.security.fields import BankId, PastFrom, RuleName, To, bank_of, check_range
from api.security.problems import problems
from api.security.replay_files import Asked, Replay, new_id
from api.security.replay_shapes import ToldReplay, ToldReplays, told
from api.security.rule_files import RULE_TEXT_MAX, RULES_MAX
from api.services import Services, services_of
from device_ledger.ledger.ledger import utc_now
from device_ledger.wire import access
from projections.threads import finish_in_thread

router = APIRouter(prefix="/v1/security/replays", tags=["security"], route_class=GuardedRoute)

WAITING_MAX: Final = 5
"""Replays of one bank, or of all, that may be unfinished at once."""

ReplayId = Annotated[
    str,
    Path(alias="id", pattern=UUID_PATTERN, json_schema_extra={"format": "uuid"}),
]


def _unknown() -> Refusal:
    return Refusal(404, "no-such-replay", "There is no such replay")


def _busy() -> Refusal:
    words = f"{WAITING_MAX} replays are unfinished: wait for one, or cancel it"
    return Refusal(429, "too-many-replays", words, {"Retry-After": "10"})


class RuleFile(Body):
    """A rule that is not, or not so, among those of this installation."""

    name: RuleName
    text: Annotated[str, StringConstraints(min_length=1, max_length=RULE_TEXT_MAX)] = Field(
        description="The Sigma rule as YAML.", examples=["title: A device cycles\n…"]
    )


RuleFiles = Annotated[list[RuleFile], Field(min_length=1, max_length=RULES_MAX)]


class AskedReplay(Body):
    """What to replay. Without rules, all those that alert live."""

    start: PastFrom = Field(alias="from")
    end: To = Field(alias="to")
    bankId: BankId | None = None  # noqa: N815 - JSON's own name
    rules: Annotated[list[RuleName], Field(min_length=1, max_length=RULES_MAX)] | None = Field(
        None, description="Rules of this installation, by name.", examples=[["device-farm"]]
    )
    ruleFiles: RuleFiles | None = Field(  # noqa: N815
        None, description="Other rules, or changed ones; instead of `rules`."
    )

    @model_validator(mode="after")
    def _names_rules_once(self) -> "AskedReplay":
        if self.rules is not None and self.ruleFiles is not None:
            raise ValueError("rules and ruleFiles must not come together")
        names = self.rules or [one.name for one in self.ruleFiles or ()]
        if len(set(names)) != len(names):
            raise ValueError("a rule must not be named twice")
        return self


@router.post(
    "",
    status_code=202,
    summary="Replay rules over the history",
    response_model=ToldReplay,
    responses=problems(
        413, ("The rate limit is used up, or too many replays are unfinished.", _busy())
    ),
)
async def start_replay(request: Request, officer: SecurityCaller, body: AskedReplay) -> Response:
    """A dry run: the alerts of then stay as they are. `Location` names where to look."""
    services = services_of(request)
    bank_id = bank_of(officer, body.bankId)
    check_range(body.start, body.end)
    await _check_waiting(services, bank_id)
    rules = await _rules(services, body)
    names = [name.removesuffix(".yml") for name in rules]
    asked = Asked(officer.subject, utc_now(), body.start, body.end, bank_id, names)
    replay_id = new_id()
    await note(
        request,
        officer,
        access.REPLAY_STARTED,
        "done",
        bankId=bank_id,
        about=replay_id,
        count=len(rules),
    )
    replay = await finish_in_thread(services.security.replays.files.create, replay_id, asked, rules)
    services.security.replays.start(replay)
    add_header(request, "Location", f"{router.prefix}/{replay.id}")
    return _answer(told(replay), 202)


@router.get("", summary="List replays", response_model=ToldReplays, responses=problems())
async def list_replays(request: Request, officer: SecurityCaller) -> Response:
    """Those of the officer's bank, or of all; a bank's newest 50 are kept."""
    found = await _visible(services_of(request), officer)
    await note(
        request, officer, access.REPLAY_READ, "done", bankId=officer.bank_id, count=len(found)
    )
    return _answer({"replays": [told(replay) for replay in found]})


@router.get(
    "/{id}",
    summary="Look at a replay",
    response_model=ToldReplay,
    responses=problems(("There is none that the officer may see.", _unknown())),
)
async def read_replay(request: Request, officer: SecurityCaller, replay_id: ReplayId) -> Response:
    """How far it is, and what came of it."""
    replay = await _found(request, officer, replay_id, access.REPLAY_READ)
    content = await finish_in_thread(
        lambda: orjson.dumps(
            told(replay) | {"progress": replay.progress(), "result": replay.result()}
        )
    )
    return Response(content, media_type="application/json")


@router.delete(
    "/{id}",
    summary="Cancel a replay",
    response_model=ToldReplay,
    responses=problems(("There is none that the officer may see.", _unknown())),
)
async def cancel_replay(request: Request, officer: SecurityCaller, replay_id: ReplayId) -> Response:
    """One that is over stays as it is, and again is the same."""
    replay = await _found(request, officer, replay_id, access.REPLAY_CANCELLED)
    return _answer(told(services_of(request).security.replays.cancel(replay)))


async def _visible(services: Services, officer: Security) -> list[Replay]:
    replays = await finish_in_thread(services.security.replays.files.all)
    return [one for one in replays if officer.bank_id in {None, one.asked.bank_id}]


async def _found(request: Request, officer: Security, replay_id: str, act: str) -> Replay:
    """A replay that the officer may see; that it was asked for is recorded.

    Raises:
        Refusal: 404, there is none.
    """
    files = services_of(request).security.replays.files
    replay = await finish_in_thread(files.find, replay_id.lower())
    is_there = replay is not None and officer.bank_id in {None, replay.asked.bank_id}
    await note(
        request,
        officer,
        act,
        "done" if is_there else "not-found",
        bankId=officer.bank_id,
        about=replay_id.lower(),
    )
    if replay is None or not is_there:
        raise _unknown()
    return replay


async def _check_waiting(services: Services, bank_id: str | None) -> None:
    replays = await finish_in_thread(services.security.replays.files.all)
    unfinished = [
        one for one in replays if one.asked.bank_id == bank_id and not one.standing.is_over
    ]
    if len(unfinished) >= WAITING_MAX:
        raise _busy()


async def _rules(services: Services, body: AskedReplay) -> dict[str, str]:
    """The texts of the rules, by file name.

    Raises:
        Refusal: 400, there is no such rule, or a text is no rule.
    """
    if body.ruleFiles is not None:
        rules = {f"{one.name}.yml": one.text for one in body.ruleFiles}
        await services.security.rules.check(rules)
        return rules
    return await finish_in_thread(rule_files.named, services.settings.rules, body.rules)


def _answer(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
