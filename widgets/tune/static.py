"""A training run as static HTML, for places without a live page."""

from __future__ import annotations

import base64
import html
import io
from typing import Any


def drawing_of(figure: Any, label: str) -> str:
    """Return a `matplotlib.figure.Figure` as a self-contained HTML image."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=96)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{html.escape(label)}" src="data:image/png;base64,{content}">'
