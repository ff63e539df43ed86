"""The pocket world: a small synthetic world, its texts, and the training recipe of the embedded model."""
