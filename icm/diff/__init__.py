"""`icm diff`: two labellings of the same claims side by side. Opens no golden label by itself."""
