import sys
from pathlib import Path

import comm
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `doubles`


@pytest.fixture
def kernel(monkeypatch):
    """Panels made in the test speak to a recording comm; all are closed afterwards."""
    from doubles import RecordingComm
    from ipywidgets import Widget

    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    yield
    Widget.close_all()
