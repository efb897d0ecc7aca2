"""How much memory is free, and the one check that refuses work which would not fit.

May import `errors` only.
"""
