"""Detection: Sigma rules, compiled to DuckDB SQL over the trail; the same live and in replay."""
