"""An installation for each test, as the contract's tests have it."""

from tests.contract.http.conftest import api, chosen, stores, trail

__all__ = ["api", "chosen", "stores", "trail"]
