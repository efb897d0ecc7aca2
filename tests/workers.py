"""How the tests are spread over a machine's cores when pytest runs with `-n auto`.

A file's tests share a worker, for what they share is costly to make. All browser tests share one:
each starts servers and Chromium, and watches a page's clock.
"""

import os

import psutil
from xdist.scheduler import LoadScopeScheduling

WORKER_BYTES = 4e9  # what a worker and the processes it starts may need at once


def worker_count():
    """As many as there are cores and memory for."""
    cores = os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available // WORKER_BYTES)))


def group_of(nodeid):
    """The tests that go to one worker together."""
    return "browser" if is_of_browser(nodeid) else nodeid.split("::", 1)[0]


def is_of_browser(nodeid):
    return nodeid.startswith("tests/browser/")


def turn_of(nodeid):
    """The longest first, so that no worker is left alone with them at the end."""
    return (not is_of_browser(nodeid), not nodeid.startswith("notebooks/"))


class ByFile(LoadScopeScheduling):
    """Hands out whole groups in the order of `turn_of`."""

    def __init__(self, config, log):
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return group_of(nodeid)
