"""Looking inside a model: `lm.trace`, `lm.inspect`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.inspection.places import Inspection
    from workbench.inspection.subject import Subject
    from workbench.inspection.trace import Trace


class Inspects:
    """What a language model shows of its insides."""

    @abstractmethod
    def _subject(self, inputs: Any) -> Subject:
        """One text, as the model reads it."""

    def trace(self, inputs: Any, names: str | Sequence[str] | None = None) -> Trace:
        """What the layers make of a text: attention weights, branches, the residual stream.

        Args:
            inputs: one text, as for `generate`, or token ids (T,).
            names: names of arrays, or patterns in which `*` matches anything; None for all, which
                of a large model are many. `Trace` lists them.

        Returns:
            NumPy arrays by name.

        Raises:
            PromptError: the text is none, is empty, or longer than the model was
                made for, `self.context_length`.
            MemoryTooSmallError: there is not enough memory for what is asked for.
            SettingError: nothing has such a name; the message lists what there is.

        Example:
            >>> weights = lm.trace("Once upon", "decoder_block_0/attention/weights")
        """
        from workbench.inspection.trace import trace

        return trace(self._subject(inputs), names)

    def inspect(self, inputs: Any) -> Inspection:
        """What the model expects at every place of a text, beside what stands there.

        Args:
            inputs: one text, as for `generate`, or token ids (T,).

        Returns:
            Log-probability, rank and entropy of every token; the distribution at each place, the
            logit lens and the attention weights when asked for.

        Raises:
            PromptError: the text is none, is empty, or longer than the model was
                made for, `self.context_length`.
            MemoryTooSmallError: there is not enough memory for what is asked for.
        """
        from workbench.inspection.places import Inspection

        return Inspection(self._subject(inputs))
