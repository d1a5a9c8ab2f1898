"""Tracked runs become a report."""
