"""Intervals, scores and random streams. Knows arrays, no claim and no file."""
