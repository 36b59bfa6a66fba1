"""A seeded population of banks, customers and devices, and the commands that they cause.

It stands outside the ledger and knows only its HTTP contract.
"""
