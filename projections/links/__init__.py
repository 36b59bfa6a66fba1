"""The read model behind a bank's list of its linked devices."""
