"""Matched arms: the same trainings and samples for all, only the labels differ. Reads golden labels; no search may."""
