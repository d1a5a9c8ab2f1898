"""Losses that a rebuilding must not change: to the last digit on one arithmetic, roughly on every other."""
