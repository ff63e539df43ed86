"""`icm prepare`: a data source becomes claims, and golden labels in a file apart. The only writer of golden labels."""
