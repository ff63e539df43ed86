"""`icm reward`: labels in, a reward model out. Only `evaluation` reads golden labels."""
