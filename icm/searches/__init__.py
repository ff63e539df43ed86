"""The searches: settings, and what binds the kernels of `search` to claims, a model and U."""
