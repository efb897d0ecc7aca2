"""A training run on paper, for where no page shows the panel."""

from __future__ import annotations

import base64
import html
import io
from typing import Any


def drawing_of(figure: Any, label: str) -> str:
    """A `matplotlib.figure.Figure` as an HTML image that needs nothing else."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=96)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{html.escape(label)}" src="data:image/png;base64,{content}">'
