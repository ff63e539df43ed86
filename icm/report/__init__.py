"""The parts that every figure, page and progress line shares: one house style. Computes nothing."""
