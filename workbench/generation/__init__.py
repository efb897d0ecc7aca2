"""Generating token by token: the request, the compiled programs, the loop, the events.

May import `estimates`, `tokenizers`, `samplers` and `backbones`, but no tasks.
"""
