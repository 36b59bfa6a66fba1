"""Exports of the trail: to whom it may concern, in formats of their own."""
