"""docs/configuration.md lists the settings that there are, as they are."""

from device_ledger.settings import Settings
from tests.support import configuration


def test_the_page_is_the_one_that_the_settings_make() -> None:
    assert configuration.FILE.read_text() == configuration.text()


def test_every_setting_says_what_it_is_for() -> None:
    told = {name: field.description for name, field in Settings.model_fields.items()}
    assert [name for name, description in told.items() if not description] == []
