"""`icm compare`: settings side by side: the same claims labelled under each, and what differs."""
