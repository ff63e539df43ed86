"""`icm elicit`: claims in, labels out. Knows no golden label."""
