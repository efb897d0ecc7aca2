"""The families of models, each a file: its backbone's arguments, classes, and places in files.

A family's file configures the layers of `workbench.backbones` and says in rules where its weights
and settings are in each file format; it computes nothing itself. `names.py` lists the families,
`registry.py` finds them by class or by file. What several families share is in `decoders.py`,
`shared_rules.py` and `mixtures.py`; a family of files of its own has them in `<family>_files.py`.

This package may import `tasks`, `preprocessing`, `tokenizers`, `images`, `audio`, `formats`,
`backbones`, `storage`, `kinds` and `errors`. It knows no presets, hubs, jobs or panels.
"""
