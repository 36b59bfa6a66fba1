"""docs/configuration.md, made from the settings; ``python -m tests.support.configuration`` writes.

What a setting is for stands once: in ``device_ledger.settings``.
"""

from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo

from device_ledger.settings import Settings

FILE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"
_START: Final = """\
# Configuration

<!-- Made from src/device_ledger/settings.py: python -m tests.support.configuration -->

Every process reads the same settings from its environment, once, when it starts. A wrong one ends
it with exit code 2 and one line that names the setting, never its value.

Passwords and keys need not stand in an environment: `DEVICE_LEDGER_SECRETS_DIR` names a directory
of files, each named for a setting in lower case (`device_ledger_event_store_url`), whose content
is the value where the environment has none. `docker-compose.yml` does so.

| setting | default | what it is |
|---|---|---|
"""
_END: Final = """
`device-ledger import` also takes a bank's token from `DEVICE_LEDGER_TOKEN`. The tests take a
running Kafka from `KAFKA_BOOTSTRAP_SERVERS` and a PostgreSQL from
`DEVICE_LEDGER_TEST_POSTGRES_URL`; without them they start their own.
"""


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    return str(field.validation_alias or f"DEVICE_LEDGER_{name.upper()}")


def text() -> str:
    """The page as it is committed."""
    rows = [
        f"| `{variable(name, field)}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _START + "\n".join(rows) + "\n" + _END


def _default(value: Any) -> str:
    plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if plain in (None, "", frozenset()):
        return "none"
    return f"`{str(plain).lower() if isinstance(plain, bool) else plain}`"


if __name__ == "__main__":
    FILE.write_text(text())
