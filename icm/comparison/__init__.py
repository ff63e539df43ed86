"""Settings side by side: the same claims labelled under each, and what differs."""
