"""Rules: a YAML file each, Sigma with correlations 2.1 and a few words of ours.

A file stands alone: what its rule refers to is in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.rule.base import SigmaYAMLLoader

from projections.detection.columns import UnfitValueError, UnknownFieldError
from projections.detection.plan import Matching, Windowed, lookback, reads_access
from projections.detection.sigma_plan import UnsupportedError, plan_of, root_of
from projections.detection.trial import EngineError, try_out

LOOKBACK_MAX: Final = timedelta(days=92)
"""How far back a rule may look."""
TEXT_MAX: Final = 65_536
"""Characters of a rule file."""


class RuleError(ValueError):
    """A rule that can't be used; the message is one line: the file, what is wrong, and where."""


@dataclass(frozen=True)
class Rule:
    """A rule that can be evaluated.

    ``name`` is the file's without its ending. ``reads_access`` tells whether access records can
    have a part in its alerts, ``lookback`` how far before the start of a range the trail must
    reach to evaluate the range. ``tests`` is its ``tests:`` block, as it was read.
    """

    name: str
    title: str
    level: str
    description: str
    references: tuple[str, ...]
    reads_access: bool
    lookback: timedelta
    text: str = field(repr=False)
    tests: tuple[Any, ...] = field(repr=False, compare=False)
    collection: SigmaCollection = field(repr=False, compare=False)
    plan: Matching | Windowed = field(repr=False, compare=False)


def load_rules(paths: Sequence[Path]) -> list[Rule]:
    """The rules of these files and of the ``.yml`` files in these directories, by name.

    Raises:
        RuleError: a file can't be read or used, or two have one name.
    """
    rules: dict[str, Rule] = {}
    for file in _files(paths):
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise RuleError(f"{file}: can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise RuleError(f"{file}: can't be read: it is not UTF-8") from None
        try:
            rule = parse_rule(text, file.stem)
        except RuleError as error:
            raise RuleError(f"{file.parent / str(error)}") from None
        if rule.name in rules:
            raise RuleError(f"{file}: another rule has the name {rule.name}")
        rules[rule.name] = rule
    return [rules[name] for name in sorted(rules)]


def _files(paths: Sequence[Path]) -> list[Path]:
    files: dict[Path, None] = {}
    for path in paths:
        found = sorted(path.glob("*.yml")) if path.is_dir() else [path]
        files |= dict.fromkeys(found)
    return list(files)


def parse_rule(text: str, name: str) -> Rule:
    """The rule of a file's text. It is tried out on an empty trail.

    Raises:
        RuleError: it can't be used.
    """
    where = f"{name}.yml"
    try:
        collection = SigmaCollection.from_dicts(_documents(text))
        root = root_of(collection)
        plan = plan_of(root)
        level = root.level
        if level is None:
            raise UnsupportedError("has no level")
        back = lookback(plan)
        if back > LOOKBACK_MAX:
            raise UnsupportedError(f"looks {back.days} days back, {LOOKBACK_MAX.days} are the most")
        try_out(plan)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RuleError(f"{where}: no YAML: {error.problem}{line}") from None
    except RecursionError:
        raise RuleError(f"{where}: nested too deep") from None
    except MemoryError:
        raise RuleError(f"{where}: needs too much memory") from None
    except _EXPECTED as error:
        raise RuleError(f"{where}: {_first_line(error)}") from None
    return Rule(
        name=name,
        title=root.title,
        level=level.name.lower(),
        description=(root.description or "").strip(),
        references=tuple(map(str, root.references)),
        reads_access=reads_access(plan),
        lookback=back,
        text=text,
        tests=tuple(root.custom_attributes.get("tests") or ()),
        collection=collection,
        plan=plan,
    )


# What pySigma raises where a document has another shape than it takes for granted.
_EXPECTED: Final = (
    SigmaError,
    yaml.YAMLError,
    UnknownFieldError,
    UnfitValueError,
    UnsupportedError,
    EngineError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def _documents(text: str) -> list[Any]:
    if len(text) > TEXT_MAX:
        raise UnsupportedError(f"longer than {TEXT_MAX} characters")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.CSafeLoader)):
        raise UnsupportedError("YAML aliases are not taken")
    documents = [one for one in yaml.load_all(text, SigmaYAMLLoader) if one is not None]
    if not documents:
        raise UnsupportedError("holds no rule")
    for one in documents:
        if not isinstance(one, Mapping) or not ({"detection", "correlation"} & one.keys()):
            raise UnsupportedError("each document is a rule with detection or correlation")
        if {"action", "filter"} & one.keys():
            raise UnsupportedError("actions and filters are not taken")
    return documents


def _first_line(error: Exception) -> str:
    text = f"lacks {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:300]
