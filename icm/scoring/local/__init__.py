"""Scores prompts with a causal language model of the transformers library, in this process."""

from icm.scoring.local.scorer import LocalScorer

__all__ = ["LocalScorer"]
