"""`icm show`: every label of a run beside its text, what speaks for it, and the report. Opens no golden label."""
