"""``python -m device_ledger`` is ``device-ledger``: for an image without an installed script."""

from device_ledger.cli.main import app

app(prog_name="device-ledger")
