"""The archive: history as Parquet, in files that say by their names what they hold."""
