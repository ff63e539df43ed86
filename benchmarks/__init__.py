"""Measurements of the project: quality against golden labels and speed against peers. Nothing in `icm` imports them."""
