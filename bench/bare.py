"""The reference for reads: FastAPI routes that answer JSON of the same shape."""

import sys
import uuid

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


class UserDevice(BaseModel):
    """A row of a user's list."""

    deviceId: str  # noqa: N815
    deviceName: str  # noqa: N815
    deviceType: str  # noqa: N815
    ipAddress: str | None  # noqa: N815
    lastLogin: str  # noqa: N815


class Info(BaseModel):
    """What is told of a device."""

    model: str
    brand: str
    os: str
    osVersion: str  # noqa: N815
    browser: str
    browserVersion: str  # noqa: N815
    browserEngine: str  # noqa: N815
    browserEngineVersion: str  # noqa: N815


class Registration(BaseModel):
    """A row of a user's registrations."""

    jwtDeviceRegistrationId: uuid.UUID  # noqa: N815
    institutionId: uuid.UUID  # noqa: N815
    deviceId: str  # noqa: N815
    deviceInfo: Info  # noqa: N815
    createdAt: str  # noqa: N815
    updatedAt: str  # noqa: N815
    lastSeenAt: str  # noqa: N815


class Registrations(BaseModel):
    """A user's registrations."""

    registrations: list[Registration]


FEW = 50
MANY = 1_000
AT = "2026-01-31T09:30:00.000Z"
ID = uuid.UUID("576b6fbe-79aa-4077-9d60-5ea7ef0b4b00")

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
            linkedAt=AT,
        )
        for number in range(limit)
    ]
    data = Page(devices=devices, total=10_000, page=page, limit=limit)
    return PageAnswer(statusCode=200, success=True, message="Devices listed", data=data)


@app.get("/settings/devices")
async def user_devices() -> list[UserDevice]:
    """Answer with constants."""
    return [
        UserDevice(
            deviceId=f"bench-device-{number}",
            deviceName="Google Pixel 9",
            deviceType="Mobile",
            ipAddress="198.51.100.7",
            lastLogin=AT,
        )
        for number in range(FEW)
    ]


@app.get("/a/consumer/api/v0/users/{user_id}/devices")
async def registrations(user_id: str) -> Registrations:
    """Answer with constants."""
    return Registrations(
        registrations=[
            Registration(
                jwtDeviceRegistrationId=ID,
                institutionId=ID,
                deviceId=f"{user_id}-{number}",
                deviceInfo=Info(
                    model="Pixel 9",
                    brand="Google",
                    os="Android",
                    osVersion="15",
                    browser="Chrome Mobile",
                    browserVersion="131.0.0",
                    browserEngine="Blink",
                    browserEngineVersion="131.0.0.0",
                ),
                createdAt=AT,
                updatedAt=AT,
                lastSeenAt=AT,
            )
            for number in range(MANY)
        ]
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), **SERVER)
