"""What a bank's systems call."""
