"""What a merchant's systems call."""
