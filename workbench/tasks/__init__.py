"""Models that a user calls: text, pictures or speech in, text out. `generate`, `stream`, `chat`,
`score`, `fit`, `inspect`.

May import `data`, `inspection`, `preprocessing`, `generation` and the packages below them.
"""
