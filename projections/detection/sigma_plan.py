"""From Sigma's words, and ours, to a plan."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sigma.collection import SigmaCollection
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaCorrelationTimespan,
    SigmaCorrelationType,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.rule import SigmaRule, SigmaRuleBase

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.detection.columns import as_text, column, literal
from projections.detection.conditions import predicate
from projections.detection.counting import (
    OPERATORS,
    EventCount,
    SourcesInOrder,
    SourcesSeen,
    ValueCount,
)
from projections.detection.history import FirstSeen, Travel, Waking
from projections.detection.plan import Matching, OfAlerts, OfTrail, Source, Test, Windowed

HISTORY: Final = "history"
"""The custom attribute of a rule with one of our tests."""

_PRODUCT: Final = "device-ledger"
_KNOWN: Final = frozenset((HISTORY, "tests"))
_NESTED_MAX: Final = 4


class UnsupportedError(ValueError):
    """A rule asks for what this engine doesn't do."""


def root_of(collection: SigmaCollection) -> SigmaRuleBase:
    """The rule of a file: the one that no other of it refers to.

    Raises:
        UnsupportedError: there is not one, or it has an attribute that nobody knows.
    """
    for rule in collection.rules:
        unknown = rule.custom_attributes.keys() - _KNOWN - {"correlation"}
        if unknown:
            raise UnsupportedError(f"unknown attribute {min(unknown)!r} of {rule.title!r}")
    roots = list(collection.get_unreferenced_rules())
    if len(roots) != 1:
        raise UnsupportedError(
            f"{len(roots)} rules that no other refers to: a file gives alerts of one"
        )
    return roots[0]


def plan_of(rule: Any, depth: int = 1) -> Matching | Windowed:
    """The plan of a rule whose references are resolved.

    Raises:
        UnsupportedError: it asks for something that this engine doesn't do.
        UnknownFieldError, UnfitValueError: a field or a value doesn't fit the trail.
    """
    if depth > _NESTED_MAX:
        raise UnsupportedError(f"more than {_NESTED_MAX} rules one below the other")
    if isinstance(rule, SigmaCorrelationRule):
        return _correlation(rule, depth)
    matching = _matching(rule)
    history = rule.custom_attributes.get(HISTORY)
    return matching if history is None else _history(rule.title, matching, history)


def _matching(rule: SigmaRule) -> Matching:
    source = rule.logsource
    if source.product != _PRODUCT or source.category is not None:
        raise UnsupportedError(f"{rule.title!r} needs the logsource product {_PRODUCT}")
    if source.service not in {None, EVENTS_LOG, ACCESS_LOG}:
        raise UnsupportedError(f"{rule.title!r}: the logsource service is events or access")
    wanted = " OR ".join(predicate(one.parsed) for one in rule.detection.parsed_condition)
    if source.service is not None:
        wanted = f"({column('log')} = {literal(source.service)} AND ({wanted}))"
    return Matching(f"({wanted})", source.service != EVENTS_LOG)


def _correlation(rule: SigmaCorrelationRule, depth: int) -> Windowed:
    if rule.generate:
        raise UnsupportedError(f"{rule.title!r}: generate is not taken, make it a file of its own")
    if HISTORY in rule.custom_attributes:
        raise UnsupportedError(f"{rule.title!r}: history belongs to a rule with detection")
    groups = tuple(rule.group_by or ())
    fields = _counted(rule)
    sources = tuple(
        _source(rule, reference, groups, fields, depth) for reference in rule.referenced_rules
    )
    if not sources:
        raise UnsupportedError(f"{rule.title!r} refers to no rule")
    return Windowed(sources, groups, rule.timespan.seconds * 1000, _test(rule))


def _counted(rule: SigmaCorrelationRule) -> tuple[str, ...]:
    field = getattr(rule.condition, "fieldref", None)
    if field is None or rule.type != SigmaCorrelationType.VALUE_COUNT:
        return ()
    return (field,) if isinstance(field, str) else tuple(field)


def _source(
    rule: SigmaCorrelationRule,
    reference: SigmaRuleReference,
    groups: Sequence[str],
    fields: Sequence[str],
    depth: int,
) -> Source:
    referred = reference.rule
    names = {reference.reference, referred.name, str(referred.id)}
    called = {
        alias.alias: field
        for alias in rule.aliases
        for of, field in alias.mapping.items()
        if of.reference in names
    }
    of = plan_of(referred, depth + 1)
    columns = tuple(called.get(name, name) for name in groups)
    values = tuple(called.get(name, name) for name in fields)
    for name in (*columns, *values):
        if not (isinstance(of, Windowed) and name in of.groups):
            as_text(name)
    if isinstance(of, Matching):
        return OfTrail(of, columns, values)
    return OfAlerts(of, columns, values)


def _test(rule: SigmaCorrelationRule) -> Test:
    condition = rule.condition
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        if rule.type != SigmaCorrelationType.TEMPORAL:
            raise UnsupportedError(f"{rule.title!r}: such a condition is for temporal alone")
        places = {one.reference: place for place, one in enumerate(rule.referenced_rules)}
        return SourcesSeen(_extended(condition.parsed, places), every=False)
    operator, count = condition.op.name.lower(), condition.count
    match rule.type:
        case SigmaCorrelationType.EVENT_COUNT:
            return EventCount(operator, count)
        case SigmaCorrelationType.VALUE_COUNT:
            return ValueCount(operator, count)
        case SigmaCorrelationType.TEMPORAL:
            return _seen(condition, len(rule.referenced_rules))
        case SigmaCorrelationType.TEMPORAL_ORDERED:
            if (operator, count) != ("gte", len(rule.referenced_rules)):
                raise UnsupportedError(f"{rule.title!r}: temporal_ordered wants all of its rules")
            return SourcesInOrder()
        case other:
            raise UnsupportedError(f"{rule.title!r}: {other.name.lower()} is not taken")


def _seen(condition: SigmaCorrelationCondition, sources: int) -> SourcesSeen:
    operator = condition.op.name.lower()
    seen = " + ".join(f"CAST(p{place} AS INTEGER)" for place in range(sources))
    every = operator == "gte" and condition.count == sources
    return SourcesSeen(f"({seen} {OPERATORS[operator]} {condition.count})", every=every)


def _extended(node: Any, places: Mapping[str, int]) -> str:
    if isinstance(node, SigmaRuleReference):
        return f"p{places[node.reference]}"
    if isinstance(node, CorrelationConditionNOT):
        return f"(NOT {_extended(node.args[0], places)})"
    operator = " AND " if isinstance(node, CorrelationConditionAND) else " OR "
    return "(" + operator.join(_extended(one, places) for one in node.args) + ")"


_WORDS: Final = {
    "first_seen": frozenset(("field", "known", "settled")),
    "waking": frozenset(("field", "begins")),
    "travel": frozenset(("field", "km", "km-per-hour")),
}


def _history(title: str, matching: Matching, history: Any) -> Windowed:
    kind = history.get("type") if isinstance(history, Mapping) else None
    if kind not in _WORDS:
        raise UnsupportedError(f"{title!r}: the type of history is {', '.join(sorted(_WORDS))}")
    wanted = {"type", "group-by", "timespan"} | _WORDS[kind]
    if history.keys() != wanted:
        odd = min(history.keys() ^ wanted)
        known = "lacks" if odd in wanted else "has the unknown word"
        raise UnsupportedError(f"{title!r}: its history {known} {odd!r}")
    groups = _texts(history, "group-by")
    values = (history["field"],) if "field" in wanted else ()
    for name in (*groups, *values):
        as_text(name)
    # An entry without the value is no part of the history.
    only = "".join(f" AND {column(name)} IS NOT NULL" for name in values)
    matching = Matching(f"({matching.predicate}{only})", matching.reads_access)
    source = OfTrail(matching, groups, values)
    return Windowed((source,), groups, _span(history["timespan"]), _history_test(kind, history))


def _history_test(kind: str, history: Mapping[str, Any]) -> Test:
    if kind == "first_seen":
        return FirstSeen(_whole(history, "known"), _span(history["settled"]))
    if kind == "waking":
        return Waking(_texts(history, "begins"))
    return Travel(_whole(history, "km"), _whole(history, "km-per-hour"))


def _span(spec: Any) -> int:
    return SigmaCorrelationTimespan(spec).seconds * 1000


def _texts(history: Mapping[str, Any], word: str) -> tuple[str, ...]:
    value = history[word]
    texts = (value,) if isinstance(value, str) else tuple(map(str, value))
    if not texts:
        raise UnsupportedError(f"{word} of history is empty")
    return texts


def _whole(history: Mapping[str, Any], word: str) -> int:
    value = history[word]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnsupportedError(f"{word} is a whole number from 1")
    return value
