"""Routes that a bank's, or the operator's, security team calls."""
