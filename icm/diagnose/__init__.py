"""`icm diagnose`: whether to trust labels, judged without golden labels."""
