"""`icm export`: labels as files that training libraries read, with a data card."""
