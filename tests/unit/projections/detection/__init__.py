"""Tests of the rules and the engine that evaluates them."""
