"""docker-compose.yml, as docker-compose itself reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from device_ledger.cli.main import app
from device_ledger.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE = Path(sys.executable).with_name("docker-compose")
OURS = ("api", "lookup-node", "relay", "streams-1", "streams-2", "detector")
SETTINGS = {
    str(field.validation_alias or f"DEVICE_LEDGER_{name.upper()}")
    for name, field in Settings.model_fields.items()
}


def composed(text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What docker-compose makes of the file, or of another text in its place."""
    return subprocess.run(
        [COMPOSE, "--project-directory", ROOT, "--file", "-", "config", "--format", "json"],
        input=(ROOT / "docker-compose.yml").read_text() if text is None else text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, anchors and short forms resolved."""
    told = composed()
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout)["services"])


def test_a_file_that_breaks_the_schema_is_refused() -> None:
    told = composed((ROOT / "docker-compose.yml").read_text().replace("ports:", "prots:"))
    assert told.returncode != 0
    assert "prots" in told.stderr


def test_every_part_of_the_circle_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "postgres", "keycloak", "proxy", *OURS}
    assert services["api"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("service", OURS)
def test_our_services_know_only_settings_that_there_are(
    services: dict[str, Any], service: str
) -> None:
    known = SETTINGS | {"DEVICE_LEDGER_SECRETS_DIR"}
    assert set(services[service]["environment"]) - known == set()
    files = {secret["target"] for secret in services[service].get("secrets", ())}
    assert {name.upper() for name in files} - SETTINGS == set()


@pytest.mark.parametrize("service", OURS)
def test_our_services_run_commands_that_there_are(services: dict[str, Any], service: str) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert services[service]["command"][0] in commands


@pytest.mark.parametrize("service", OURS)
def test_values_are_ones_that_the_settings_take(
    services: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = services[service]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = Settings()
    assert told.brokers == environment["KAFKA_BOOTSTRAP_SERVERS"]
    assert told.partitions == int(environment["DEVICE_LEDGER_PARTITIONS"])


def test_every_service_has_a_health_check_and_waits_for_healthy_ones(
    services: dict[str, Any],
) -> None:
    for service in services.values():
        assert "healthcheck" in service
        for needed in service.get("depends_on", {}).values():
            assert needed["condition"] == "service_healthy"


def test_only_what_answers_holds_keys_of_data_and_each_reaches_only_the_stores_it_needs(
    services: dict[str, Any],
) -> None:
    held = {
        service: {
            secret["target"].removeprefix("device_ledger_") for secret in it.get("secrets", ())
        }
        for service, it in services.items()
        if service in OURS
    }
    assert held == {
        "api": {
            *("event_store_url", "read_models_url", "vault_url"),
            *("master_key", "token_key", "log_key"),
        },
        "lookup-node": {"vault_url", "master_key", "token_key"},
        "relay": {"event_store_url", "log_key"},
        "streams-1": {"read_models_url"},
        "streams-2": {"read_models_url"},
        "detector": set(),
    }


def test_what_lies_below_the_home_outlives_its_writers_and_the_api_only_reads_the_archive(
    services: dict[str, Any],
) -> None:
    mounted = {
        name: [
            (volume["source"], volume["target"], volume.get("read_only", False))
            for volume in services[name].get("volumes", ())
        ]
        for name in OURS
    }
    assert mounted == {
        "api": [
            ("archive", "/state/archive", True),
            ("replays", "/state/replays", False),
            ("access-spool", "/state/access-spool", False),
        ],
        "lookup-node": [
            ("node-read-models", "/state/read-models", False),
            ("node-access-spool", "/state/access-spool", False),
        ],
        "relay": [("lost", "/state/lost", False)],
        "streams-1": [],
        "streams-2": [],
        "detector": [
            ("archive", "/state/archive", False),
            ("witness", "/state/witness", False),
        ],
    }


def test_a_node_reads_the_vault_as_a_role_that_can_do_nothing_else(
    services: dict[str, Any],
) -> None:
    sources = {it["target"]: it["source"] for it in services["lookup-node"]["secrets"]}
    assert sources["device_ledger_vault_url"] == "vault_reader_url"


def test_only_loopback_reaches_the_doors(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_no_secret_stands_in_an_environment(services: dict[str, Any]) -> None:
    names = [
        name
        for service in services.values()
        for name in service.get("environment", {})
        if any(word in name for word in ("PASSWORD", "SECRET", "KEY")) and "FILE" not in name
    ]
    assert set(names) == {"DEVICE_LEDGER_SECRETS_DIR"}


def test_every_mounted_file_is_in_the_checkout(services: dict[str, Any]) -> None:
    binds = [
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    ]
    assert binds != []
    assert [path for path in binds if not path.is_file()] == []


def test_make_secrets_makes_every_secret_once(tmp_path: Path) -> None:
    script = tmp_path / "deploy" / "make-secrets.sh"
    script.parent.mkdir()
    script.write_text((ROOT / "deploy" / "make-secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    secrets = script.parent / "secrets"
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    files = {Path(it["file"]).name for it in json.loads(composed().stdout)["secrets"].values()}
    assert set(made) == files
    assert secrets.stat().st_mode & 0o077 == 0
    assert made["vault_url"] == (
        f"postgresql://vault:{made['vault_password'].strip()}@postgres:5432/vault\n"
    )
    assert made["vault_reader_url"] == (
        f"postgresql://vault_reader:{made['vault_reader_password'].strip()}@postgres:5432/vault\n"
    )
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made
