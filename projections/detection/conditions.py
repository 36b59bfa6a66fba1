"""A Sigma condition as an SQL predicate over ``trail``.

Text is compared without case unless ``|cased`` says otherwise, and a field that an entry lacks
matches nothing but ``null``, also below ``not``: both as Sigma has it.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
)
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
)

from projections.detection.columns import (
    LOWER_CASE,
    NUMBERS,
    TIME,
    UnfitValueError,
    as_text,
    column,
    literal,
)

_COMPARISONS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
    CompareOperators.NEQ: "<>",
}


def predicate(condition: Any) -> str:
    """The predicate of a parsed condition (``SigmaCondition.parsed``).

    Raises:
        UnknownFieldError: it names a field that no entry has.
        UnfitValueError: a value can't be compared with its field, or the condition asks for
            something that has no meaning here, such as words in any field.
    """
    match condition:
        case ConditionNOT():
            return f"(NOT coalesce({predicate(condition.args[0])}, FALSE))"
        case ConditionAND():
            return _joined(condition, " AND ")
        case ConditionOR():
            return _joined(condition, " OR ")
        case ConditionFieldEqualsValueExpression():
            return _comparison(condition.field, condition.value)
        case _:
            raise UnfitValueError("a value without a field: name the field that must hold it")


def _joined(condition: ConditionItem, operator: str) -> str:
    return "(" + operator.join(predicate(one) for one in condition.args) + ")"


def _comparison(field: str, value: SigmaType) -> str:
    name = column(field)
    for kind, compare in _KINDS:
        if isinstance(value, kind):
            return compare(field, value)
    if isinstance(value, SigmaNull):
        return f"({name} IS NULL)"
    raise UnfitValueError(f"{field}: {type(value).__name__[5:].lower()} has no meaning here")


def _expansion(field: str, value: Any) -> str:
    return "(" + " OR ".join(_comparison(field, one) for one in value.values) + ")"


def _exists(field: str, value: Any) -> str:
    return f"({column(field)} IS {'NOT ' if value.exists else ''}NULL)"


def _text(field: str, value: Any) -> str:
    if field == TIME or (field in NUMBERS and value.contains_special()):
        raise UnfitValueError(f"{field} can't be compared with text")
    cased = isinstance(value, SigmaCasedString) or field in NUMBERS
    name = as_text(field)
    if value.contains_special():
        pattern = value.convert(
            escape_char="\\", wildcard_multi="%", wildcard_single="_", add_escaped="\\"
        )
        operator, wanted = "LIKE", literal(pattern)
        end = " ESCAPE '\\'"
    else:
        plain = value.convert(
            escape_char=None, wildcard_multi=None, wildcard_single=None, add_escaped=""
        )
        operator, wanted, end = "=", literal(plain), ""
    if not cased:
        name = name if field in LOWER_CASE else f"lower({name})"
        wanted = f"lower({wanted})"
    return f"({name} {operator} {wanted}{end})"


def _number(field: str, value: Any) -> str:
    if field == TIME:
        raise UnfitValueError("at can't be compared with a number: use |hour, |day and so on")
    if field in NUMBERS:
        return f"({column(field)} = {value.number!r})"
    return f"({column(field)} = {literal(str(value.number))})"


def _part_of_time(field: str, value: Any) -> str:
    if field != TIME:
        raise UnfitValueError(f"{field} is no time")
    return f"(extract({value.timestamp_part.name} FROM {column(field)}) = {value.number!r})"


def _ordering(field: str, value: Any) -> str:
    if field not in NUMBERS:
        raise UnfitValueError(f"{field} is no number")
    return f"({column(field)} {_COMPARISONS[value.op]} {value.number.number!r})"


def _regular(field: str, value: Any) -> str:
    flags = "".join(sorted(SigmaRegularExpression.sigma_to_re_flag[one] for one in value.flags))
    pattern = (f"(?{flags})" if flags else "") + str(value.regexp)
    return f"regexp_matches({as_text(field)}, {literal(pattern)})"


def _other_field(field: str, value: Any) -> str:
    one, other = as_text(field), as_text(value.field)
    if value.starts_with and value.ends_with:
        return f"contains({one}, {other})"
    if value.starts_with:
        return f"starts_with({one}, {other})"
    return f"ends_with({one}, {other})" if value.ends_with else f"({one} = {other})"


def _true_or_false(field: str, _: Any) -> str:
    raise UnfitValueError(f"{field} is neither true nor false")


# More special types before those that they derive from.
_KINDS: Final = cast(
    "tuple[tuple[type[SigmaType], Callable[[str, Any], str]], ...]",
    (
        (SigmaExpansion, _expansion),
        (SigmaExists, _exists),
        (SigmaTimestampPart, _part_of_time),
        (SigmaNumber, _number),
        (SigmaString, _text),
        (SigmaCompareExpression, _ordering),
        (SigmaRegularExpression, _regular),
        (SigmaFieldReference, _other_field),
        (SigmaBool, _true_or_false),
    ),
)
