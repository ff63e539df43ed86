"""Whether labels are to be trusted, told without golden labels: measures, what they mean, and a verdict."""
