"""`icm diagnose`: whether to trust labels, told without golden labels."""
