"""`icm policy`: a reward or labels in, an assistant out. Knows no golden label."""
