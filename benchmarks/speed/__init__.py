"""Cost and speed, each beside a reference run in the same command."""
