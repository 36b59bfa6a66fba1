"""The detector: one process that writes the archive, runs the rules and tells their alerts."""
