"""Pretrained models that must be fetched or converted before they can be loaded: weights packages and GGUF files."""
