"""Sources of label log-probabilities: one protocol, several backends, a journal around any."""
