"""The makers of `digits_tiny`: a synthesiser of spoken digits, training, measuring, publishing."""
