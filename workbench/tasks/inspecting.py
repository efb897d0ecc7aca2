"""Looks inside a model: `lm.trace`, `lm.inspect`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.inspection.places import Inspection
    from workbench.inspection.subject import Subject
    from workbench.inspection.trace import Trace


class Inspects:
    """Mix-in to look inside a language model: `lm.trace`, `lm.inspect`."""

    @abstractmethod
    def _subject(self, inputs: Any) -> Subject:
        """Return one text, as the model reads it."""

    def trace(self, inputs: Any, names: str | Sequence[str] | None = None) -> Trace:
        """Return the layers' values for a text: attention weights, branches, the residual stream.

        Args:
            inputs: one text, as for `generate`, or token ids (T,).
            names: names of arrays, or patterns in which `*` matches anything. None gives all,
                which are many for a large model. `Trace` lists them.

        Returns:
            NumPy arrays by name.

        Raises:
            PromptError: the input is not a text, is empty, or is longer than the model was made
                for, `self.context_length`.
            MemoryTooSmallError: there is not enough memory for these arrays.
            SettingError: no array has such a name; the message lists the names.

        Example:
            >>> weights = lm.trace("Once upon", "decoder_block_0/attention/weights")
        """
        from workbench.inspection.trace import trace

        return trace(self._subject(inputs), names)

    def inspect(self, inputs: Any) -> Inspection:
        """Compare what the model predicts at every place of a text with the actual token.

        Args:
            inputs: one text, as for `generate`, or token ids (T,).

        Returns:
            Log-probability, rank and entropy of every token. Its methods give the distribution at
            each place, the logit lens and the attention weights.

        Raises:
            PromptError: the input is not a text, is empty, or is longer than the model was made
                for, `self.context_length`.
            MemoryTooSmallError: there is not enough memory for the text.
        """
        from workbench.inspection.places import Inspection

        return Inspection(self._subject(inputs))
