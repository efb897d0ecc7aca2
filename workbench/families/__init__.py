"""The model families, one file each: backbone arguments, classes, and places in weight files.

A family's file configures the layers of `workbench.backbones`, and its rules give the places of
weights and settings in each file format; it computes nothing itself. `names.py` lists the families,
`registry.py` finds them by class or by file. Several families share `decoders.py`,
`shared_rules.py` and `mixtures.py`; a family with unusual files describes them in
`<family>_files.py`.

This package may import `tasks`, `preprocessing`, `tokenizers`, `images`, `audio`, `formats`,
`backbones`, `storage`, `kinds` and `errors`. It knows no presets, hubs, jobs or panels.
"""
