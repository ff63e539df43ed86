"""The embedded laboratory: a small world, its texts, and the recipe of the model that knows it."""
