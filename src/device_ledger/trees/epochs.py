"""A tree of each epoch: what was signed of the one before stays, beside the new one."""

from device_ledger.trees.database import Connection, Database, TreeStoreError
from device_ledger.trees.names import name_of_epoch


class LaterEpochError(TreeStoreError):
    """The tree is of a later epoch than the event store: that one is an older copy."""


def enter_epoch(database: Database, db: Connection, log: str, epoch: int) -> None:
    """See `TreeStore.enter_epoch`; in the caller's transaction."""
    row = database.execute(db, "SELECT epoch FROM log_trees WHERE log = ?", log).fetchone()
    if row and row[0] > epoch:
        raise LaterEpochError(
            f"the tree of the {log} log is of epoch {row[0]}, the event store of {epoch}: it is an"
            " old copy; restore the newest one"
        )
    if row and row[0] < epoch:
        for table in ("log_trees", "log_tiles", "log_checkpoints"):
            rename = f"UPDATE {table} SET log = ? WHERE log = ?"
            database.execute(db, rename, name_of_epoch(log, row[0]), log)
        db.execute("DELETE FROM log_events")
    if not row or row[0] < epoch:
        database.execute(db, "INSERT INTO log_trees VALUES (?, 0, 0, '', ?)", log, epoch)
