"""The makers of `words_tiny`: pictures of words, training, measuring, publishing."""
