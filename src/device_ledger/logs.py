"""Logs as one JSON object a line on standard error."""

import logging
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import orjson

_PLAIN: Final = len(vars(logging.makeLogRecord({})))
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}


class JsonFormatter(logging.Formatter):
    """A record as JSON: time (RFC 3339, UTC), level, logger, message, and its ``extra`` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; an exception is told by type and place, never by its text."""
        # What `extra` names comes last in a record.
        rest = islice(vars(record).items(), _PLAIN, None)
        extra = {name: value for name, value in rest if name not in _STANDARD}
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = where(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def configure_logs(level: str) -> None:
    """Send this process's logs to standard error from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What no line of ours tells needn't be found out for each (docs.python.org, Logging HOWTO,
    # Optimization).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # It logs every address that it asks for.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def where(error: BaseException) -> str:
    """An exception's type and the lines it came through. Its text may hold a caller's value."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        lines.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__module__}.{type(error).__qualname__} at {' > '.join(lines)}"


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
