"""The recipe of `shapes_tiny`: pictures of shapes, what is said of them, and the training on it."""
