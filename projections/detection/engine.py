"""The engine that rules run on: a DuckDB that reads the archive and can do nothing else."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

SPILL_MAX = "4GB"
"""What a query may write beside the memory: the disk is also that of the stores and the spool."""


def open_engine(
    allowed: Sequence[Path], *, memory: str, threads: int, spill: Path
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that can touch files below ``allowed`` and nothing else, for good.

    ``memory`` is the most that it keeps (``512MB``); what is more goes to files below ``spill``,
    ``SPILL_MAX`` at most. It loads no extension, opens no connection, and takes no further setting.
    """
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        }
    )
    folders = ", ".join(_quoted(str(folder.resolve())) for folder in allowed)
    connection.execute(f"SET allowed_directories = [{folders}]")
    # Among the settings above it would be without effect.
    connection.execute(f"SET max_temp_directory_size = '{SPILL_MAX}'")
    # Live rounds open the same files again and again.
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
