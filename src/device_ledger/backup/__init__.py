"""Copies of what this installation keeps in SQLite: taken while it serves, and put back whole."""
