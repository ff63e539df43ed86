"""Label quality against golden labels and against the baselines, on the pocket worlds."""
