"""Label elicitation from pretrained language models by Internal Coherence Maximization."""

__version__ = "0.1.0"
