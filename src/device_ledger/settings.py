"""Every setting of every process, read from the environment once at its start."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEV_ISSUER = "urn:device-ledger:dev"


class Settings(BaseSettings):
    """Settings by environment variable; ``docs/configuration.md`` lists them all."""

    model_config = SettingsConfigDict(env_prefix="DEVICE_LEDGER_", extra="ignore")

    home: Path = Field(Path(".device-ledger"), description="Directory that holds all local state.")
    host: str = Field("127.0.0.1", description="Address that the API binds to.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the API binds to.")

    event_store_url: SecretStr = Field(
        SecretStr(""),
        description="`postgresql://…` of the event store; empty: SQLite below the home.",
    )
    read_models_url: SecretStr = Field(
        SecretStr(""),
        description="`postgresql://…` of the read models; empty: SQLite below the home.",
    )
    vault_url: SecretStr = Field(
        SecretStr(""), description="`postgresql://…` of the vault; empty: SQLite below the home."
    )
    kafka_bootstrap_servers: str = Field(
        "",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Brokers, `host:port` by commas; empty: the local broker below the home.",
    )
    broker_port: int = Field(9092, ge=1, le=65535, description="Loopback port of the local broker.")
    kafka_replication_factor: int = Field(
        1, ge=1, description="Copies of each partition that topics are made with."
    )
    access_spool_bytes: int = Field(
        64 << 20,
        ge=0,
        description="Bytes of access records that an API process keeps on disk while Kafka is"
        " away; once they are full, what can't be recorded is answered 503.",
    )
    backlog_events: int = Field(
        1_000_000,
        ge=1,
        description="Events that the event store may hold and Kafka not yet, counted by their ids;"
        " from there on commands are answered 503 until Kafka has caught up.",
    )
    partitions: int = Field(
        8, ge=1, le=256, description="Partitions of the events topic; fixed at first start."
    )

    master_key: SecretStr = Field(
        SecretStr(""),
        description="Base64 of the 32 bytes that wrap the vault's data keys; two by a comma, the"
        " newer one last, while one is exchanged for another.",
    )
    master_key_file: Path | None = Field(
        None, description="File that holds the master key, or two, one a line."
    )
    token_key: SecretStr = Field(
        SecretStr(""), description="Base64 of the 32 bytes that key all tokens; never rotated."
    )
    token_key_file: Path | None = Field(None, description="File that holds the token key.")
    log_key: SecretStr = Field(
        SecretStr(""),
        description="Base64 of the 32 bytes (Ed25519 seed) that sign the logs' checkpoints; two by"
        " a comma, the newer one last, while one is exchanged for another.",
    )
    log_key_file: Path | None = Field(
        None, description="File that holds the logs' key, or two, one a line."
    )
    log_verifier_keys: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Verifier keys, by commas, that the logs' witness believes, and follows where"
        " they hand over; empty: the first that it sees.",
    )

    issuer: str = Field(
        "", pattern="^(https?://.+)?$", description="OIDC issuer of the callers' tokens."
    )
    embedded_issuer: bool = Field(
        False,
        description="Believe tokens of `device-ledger token`; for loopback addresses only.",
    )
    audience: str = Field("device-ledger", description="Audience that tokens must name.")
    claim_bank_id: str = Field("bank_id", description="Claim that holds the bank's ID.")
    claim_merchant_id: str = Field("merchant_id", description="Claim that holds the merchant's ID.")
    claim_user_id: str = Field("sub", description="Claim that holds the user's ID.")
    claim_scope: str = Field("scope", description="Claim that holds the scopes.")
    claim_permissions: str = Field("permissions", description="Claim that holds permissions.")
    claim_client: str = Field("azp", description="Claim that names the calling client.")
    step_up_max_age: int | None = Field(
        None, ge=0, description="Oldest login, in seconds, that may remove a device."
    )
    step_up_acr: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="`acr` values, by commas, that may remove a device at any age."
    )

    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Origins, by commas, whose browsers may call the user families."
    )
    rate_commands: int = Field(60_000, ge=1, description="Commands a caller may post a minute.")
    rate_lookups: int = Field(300_000, ge=1, description="Lookups a caller may make a minute.")
    rate_unknown_lookups: int = Field(
        1_000, ge=1, description="Lookups of unknown devices a caller may make a minute."
    )
    rate_unknown_lookups_together: int = Field(
        10_000,
        ge=1,
        description="Lookups of unknown devices that all merchants may make a minute; beyond it"
        " each has 5.",
    )
    rate_security: int = Field(
        3_000, ge=1, description="Calls a security officer may make a minute."
    )
    rules: Path = Field(
        Path("rules"), description="Directory of the detection rules, a `.yml` file each."
    )
    replays_at_once: int = Field(
        1, ge=1, le=16, description="Replays that an API process runs at once."
    )
    max_active_devices: int = Field(500, ge=1, description="Active devices a customer may have.")
    geo_file: Path | None = Field(
        None,
        description="MaxMind DB file (GeoIP2, GeoLite2, DB-IP) that tells where a login's address"
        " is; by default DB-IP's City Lite of April 2023.",
    )
    geo_overlay_file: Path | None = Field(
        None,
        description="CSV file (`network,country,latitude,longitude`) of networks that the geo file"
        " doesn't know: one's own, branches.",
    )
    log_level: str = Field(
        "INFO",
        pattern="(?i)^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$",
        description="Least level that is logged.",
    )

    @property
    def brokers(self) -> str:
        """Where Kafka is: the brokers that are named, else the local one."""
        return self.kafka_bootstrap_servers or f"127.0.0.1:{self.broker_port}"

    @field_validator("event_store_url", "read_models_url", "vault_url")
    @classmethod
    def names_a_postgresql(cls, value: SecretStr) -> SecretStr:
        """Refuse any other URL here, where its password is not repeated."""
        url = value.get_secret_value()
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("a URL of PostgreSQL begins with postgresql://")
        return value

    @field_validator("step_up_acr", "cors_origins", "log_verifier_keys", mode="before")
    @classmethod
    def split_at_commas(cls, value: object) -> object:
        """Turn a comma-separated string into its parts."""
        if isinstance(value, str):
            return frozenset(part.strip() for part in value.split(",") if part.strip())
        return value


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process.

    A file of the directory that ``DEVICE_LEDGER_SECRETS_DIR`` names gives the setting that it is
    named for, in lower case (``device_ledger_vault_url``), where the environment doesn't.
    """
    return Settings(_secrets_dir=os.environ.get("DEVICE_LEDGER_SECRETS_DIR"))
