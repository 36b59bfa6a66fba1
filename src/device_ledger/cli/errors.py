"""Expected failures of the command line: one line each instead of a traceback."""

from typing import Final

FAILED: Final = 1
"""Exit code: the command could not do what it was asked, or not all of it."""
USAGE: Final = 2
"""Exit code: it was asked wrongly, by an option, an argument or a setting."""


class CliError(Exception):
    """A failure that the user can act on; its message is one line, without secrets.

    ``exit_code`` is ``FAILED`` unless given.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def from_settings_error(error: ValueError) -> CliError | None:
    """The line that names the settings that don't hold, or None for any other error.

    Values are left out: a setting may be a key or a password.
    """
    from pydantic import ValidationError

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return None
    wrong = "; ".join(
        f"{_variable(str(problem['loc'][0]) if problem['loc'] else 'settings')}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
    return CliError(f"wrong setting: {wrong}", USAGE)


def _variable(field: str) -> str:
    return field if field.isupper() else f"DEVICE_LEDGER_{field.upper()}"
