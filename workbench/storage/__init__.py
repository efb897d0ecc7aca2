"""Files and folders: atomic writes, locks, safe paths, JSON with limits, progress.

May import `workers` and `errors`.
"""
