"""The recipe of `stories_tiny_en`: a grammar that writes stories, and the training on them."""
