"""What people look at: figures, the HTML report, the console summary. Computes no metric and asks no model."""
