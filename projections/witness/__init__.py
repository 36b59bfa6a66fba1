"""The witness: checks each signed checkpoint against the records themselves, on its own account."""
