"""Devices of as many customers, linked through vault and ledger before the system starts.

Over HTTP a hundred thousand links would take longer than all that is measured.
"""

import asyncio
import uuid
from pathlib import Path
from typing import Final

from device_ledger.domain.customer.command import Context, Device
from device_ledger.domain.customer.link import LinkDevice
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.ledger import Ledger, utc_now
from device_ledger.ledger.receipts import Receipt
from device_ledger.settings import Settings
from device_ledger.vault.cache import DataKey
from device_ledger.vault.keys import load_or_create_keys
from device_ledger.vault.sealing import seal
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault

WAITING: Final = 256


def link_devices(home: Path, bank: str, names: list[str]) -> None:
    """Link a device of each name to a customer of its own, as the API would."""
    settings = Settings(home=home)
    keys = load_or_create_keys(home)
    vault = Vault.open(settings, keys)
    try:
        ledger = Ledger.open(settings)
        try:
            asyncio.run(_link_all(ledger, vault, keys.token, bank, names))
        finally:
            ledger.close()
    finally:
        vault.close()


async def _link_all(
    ledger: Ledger, vault: Vault, tokens: TokenKey, bank: str, names: list[str]
) -> None:
    rest = iter(names)

    async def link_some() -> None:
        for name in rest:
            customer_id = f"customer-{name}"
            customer = CustomerRef(bank, tokens.user_id(bank, customer_id), customer_id)
            key = await vault.data_key(customer.bank_id, customer.user_id)
            command = _command(tokens, customer, key, name)
            receipt = Receipt(str(uuid.uuid4()), "", keyed=False)
            answer = await asyncio.wrap_future(ledger.submit(command, receipt))
            if answer.status != "done":
                raise RuntimeError(f"a link was not made: {answer.status}")

    await asyncio.gather(*(link_some() for _ in range(WAITING)))


def _command(tokens: TokenKey, customer: CustomerRef, key: DataKey, name: str) -> LinkDevice:
    def sealed(field: str, value: str) -> str:
        return seal(key.key, field, customer.bank_id, customer.user_id, value)

    phrase = f"blue horse {name}"
    return LinkDevice(
        customer=customer,
        context=Context("benchmark", None, str(uuid.uuid4()), utc_now()),
        device=Device(
            tokens.device(name), sealed("deviceId", name), key.generation, str(uuid.uuid4())
        ),
        phrase_token=tokens.phrase(customer.bank_id, phrase),
        sealed_phrase=sealed("phrase", phrase),
        max_active_devices=1,
    )
