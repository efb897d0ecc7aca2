"""Background jobs that can be started, watched, cancelled and waited for: generating, comparing,
loading.

May import `presets` and everything below it. Panels are views of jobs.
"""
