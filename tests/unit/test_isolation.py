from device_ledger.settings import Settings
from tests.conftest import NO_BROKER


def test_a_test_that_names_no_broker_reaches_none_that_runs_here() -> None:
    assert Settings().brokers == f"127.0.0.1:{NO_BROKER}"
