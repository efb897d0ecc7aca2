"""What tests of training jobs share."""

from __future__ import annotations

import patience
import pytest


@pytest.fixture
def linear(monkeypatch):
    """Training jobs train `LinearLM`s."""
    from linear import LinearTrainer

    from workbench.tuning import run

    monkeypatch.setattr(run, "new_trainer", LinearTrainer)


@pytest.fixture
def until():
    """Wait for a condition, and fail if it does not come."""
    return patience.until
