"""What a bank's user calls, through the bank's apps: two families of formats."""
