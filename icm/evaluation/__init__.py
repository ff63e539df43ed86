"""Elicited labels against golden labels: metrics, baselines and accuracy in context. Feeds nothing back to a search."""
