"""Models without a task head: configurations, layers, weight rules, adapters, quantisation.

May import `audio`, `memory`, `storage` and the floors below them. Families of models are above, in
`workbench.families`; presets load backbones through `workbench.ports`.
"""
