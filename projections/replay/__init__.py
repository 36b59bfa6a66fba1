"""Replaying rules over history: what they would have raised, beside what was raised."""
