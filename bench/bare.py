"""The reference for reads: FastAPI routes that answer JSON of the same shape."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from device_ledger.cli.api import SERVER


class Asked(BaseModel):
    """The body of a lookup."""

    deviceId: str  # noqa: N815 - as on the wire


class Link(BaseModel):
    """What is told of a link."""

    deviceId: str  # noqa: N815
    customerId: str  # noqa: N815
    phrase: str


class Found(Link):
    """A lookup's data."""

    bankId: str  # noqa: N815


class Listed(Link):
    """A list's row."""

    linkedAt: str  # noqa: N815


class Page(BaseModel):
    """A list's data."""

    devices: list[Listed]
    total: int
    page: int
    limit: int


class FoundAnswer(BaseModel):
    """A lookup's answer."""

    statusCode: int  # noqa: N815
    success: bool
    message: str
    data: Found


class PageAnswer(BaseModel):
    """A list's answer."""

    statusCode: int  # noqa: N815
    success: bool
    message: str
    data: Page


app = FastAPI()


@app.post("/v1/customer/device/lookup")
async def lookup(asked: Asked) -> FoundAnswer:
    """Answer with what was asked and constants."""
    found = Found(
        deviceId=asked.deviceId, customerId="customer-1", phrase="blue horse 1", bankId="bank-1"
    )
    return FoundAnswer(statusCode=200, success=True, message="Device lookup successful", data=found)


@app.get("/v1/bank/devices/list")
async def list_devices(page: int = 1, limit: int = 10) -> PageAnswer:
    """Answer with constants."""
    devices = [
        Listed(
            deviceId=f"bench-device-{number}",
            customerId=f"customer-{number}",
            phrase=f"blue horse {number}",
            linkedAt="2026-01-31T09:30:00.000Z",
        )
        for number in range(limit)
    ]
    data = Page(devices=devices, total=10_000, page=page, limit=limit)
    return PageAnswer(statusCode=200, success=True, message="Devices listed", data=data)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), **SERVER)
