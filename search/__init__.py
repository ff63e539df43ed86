"""Searches over label vectors. Knows no language model, no claim and no file."""
