"""Token ids that a user gives as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.errors import PromptError


def check_arrays(inputs: Mapping[str, Any], prefix: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return `token_ids` and `padding_mask` (bool) of a dict, both (L,) or (B, L).

    Raises:
        PromptError: one is missing, a shape is wrong, or padding is not at the right.
    """
    names = f"{prefix}token_ids", f"{prefix}padding_mask"
    if not set(names) <= set(inputs):
        raise PromptError(f"generate: inputs: expected {' and '.join(names)}, got {sorted(inputs)}")
    ids = np.asarray(inputs[names[0]])
    mask = np.asarray(inputs[names[1]]).astype(bool)
    if ids.shape != mask.shape or ids.ndim not in (1, 2):
        raise PromptError(
            f"generate: inputs: expected {' and '.join(names)} of one shape, (L,) or (B, L), "
            f"got {ids.shape} and {mask.shape}"
        )
    if np.any(mask[..., 1:] & ~mask[..., :-1]):
        raise PromptError(
            f"generate: inputs: {names[1]}: expected prompts at the left and padding at the right"
        )
    return ids, mask
