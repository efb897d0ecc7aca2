"""Measures free memory, and refuses work that would not fit.

May import `errors` only.
"""
