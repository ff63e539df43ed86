"""Training on labels: pairs, reward models, policies. Knows no golden label, only label files that a user names."""
