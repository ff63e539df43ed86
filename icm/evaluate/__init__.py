"""`icm evaluate`: labels against golden labels. Feeds nothing back to a search."""
