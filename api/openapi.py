"""The OpenAPI document: what the framework tells of the routes, and what holds for all of them."""

import sys
from typing import Any

import orjson
from fastapi import FastAPI

from api.security import problems

DESCRIPTION = """\
An event-sourced registry of the devices that banks' customers use.

Every call but the operations' needs a bearer token (a JWT of the configured issuer). Every
command answers a `Ledger-Position`; a read that sends it back as `Ledger-Min-Position` shows at
least that much, and every read tells in `Ledger-Age` how many seconds old it is. `RateLimit` and
`RateLimit-Policy` tell what is left of the caller's quota, and every answer carries an
`X-Request-ID`.

Refusals come in this order: 400, 401, 403, 422; then device, phrase, own phrase, limit.
"""

_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token of the configured issuer, for the configured audience.",
}


def describe(app: FastAPI) -> None:
    """Let the app's document name the token that its routes need."""
    of_the_framework = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = of_the_framework()
            components = document.setdefault("components", {})
            components["securitySchemes"] = {"token": _SCHEME}
            components.setdefault("schemas", {})[problems.SCHEMA] = (
                problems.Problem.model_json_schema()
            )
            for path in document["paths"].values():
                for operation in path.values():
                    if "operations" not in operation["tags"]:
                        operation["security"] = [{"token": []}]
        return of_the_framework()

    app.openapi = openapi  # type: ignore[method-assign] # the framework's documented way


def document() -> bytes:
    """The document as ``docs/openapi.json`` has it."""
    from api.app import routed_app

    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(routed_app().openapi(), option=options)


if __name__ == "__main__":
    sys.stdout.buffer.write(document())
