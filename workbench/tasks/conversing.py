"""Replies of an instruct model: messages in, a reply out, at once or as a stream of events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.events import Event
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Programs
from workbench.generation.request import Request
from workbench.generation.stream import collect_texts, stream_events
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tokenizers import ChatTemplate
from workbench.tokenizers.end_of_turn import stops_of_turn

USUAL_REPLY = 512


class Converses:
    """What a language model does with messages. `lm.chat`, `lm.stream_chat`."""

    programs: Programs
    preprocessor: CausalLMPreprocessor | None

    @abstractmethod
    def _reader(self) -> CausalLMPreprocessor:
        """The preprocessor, or a `SettingError`."""

    @abstractmethod
    def _longest(self) -> int:
        """Tokens that a conversation may have, its reply included."""

    @abstractmethod
    def _writable(self, stop_ids: Iterable[int]) -> tuple[int, ...]:
        """Those of these ids that the model may write."""

    @abstractmethod
    def _prompt_request(self, prompts: list[list[int]], **settings: Any) -> Request:
        """The request for what a user has said, as ids."""

    def chat(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        max_length: int | None = None,
        stop_token_ids: StopIds = "auto",
        *,
        max_new_tokens: int | None = None,
        sampler: AnySampler | None = None,
        seed: int | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Reply to messages, as an instruct model was trained to.

        The tokenizer's chat template writes the prompt. Words in a message that look like control
        tokens stay words. `workbench.Chat` keeps a conversation and reads only what is new.

        Args:
            messages: a string, or a list of `{"role": ..., "content": ...}`. Of a model that reads
                pictures the content may come in parts, `{"type": "text", "text": ...}` and
                `{"type": "image", "image": ...}`.
            max_length: tokens that prompt and reply may have together; by default
                what the model was made for, `self.context_length`.
            stop_token_ids: as `generate`; "auto" ends at the end of the model's turn, also where
                the template writes it in letters, which are not part of the reply.
            max_new_tokens: tokens to add at most; 512 where neither limit is given.
            sampler: used for this call instead of the compiled one.
            seed: makes the call repeatable.
            template_arguments: more variables for the template, such as
                `{"enable_thinking": False}`.

        Returns:
            The reply, without special tokens and without white space around it.

        Raises:
            ChatTemplateError: the model has no chat template (a base model), or it refuses the
                messages, or fails.
            PromptError: the messages are no messages, or leave no room for a token.
            SettingError: a length, stop id, seed or sampler setting is impossible.
            MemoryTooSmallError: there is not enough memory for a conversation of this length.
        """
        request = self._chat_request(
            messages,
            template_arguments,
            max_length=max_length,
            stop_token_ids=stop_token_ids,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            seed=seed,
            alternatives=DEFAULT_ALTERNATIVES,
        )
        (reply,) = collect_texts(self.programs, request, self.preprocessor.tokenizer)
        return reply.strip()

    def stream_chat(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        max_length: int | None = None,
        stop_token_ids: StopIds = "auto",
        *,
        max_new_tokens: int | None = None,
        sampler: AnySampler | None = None,
        seed: int | None = None,
        alternatives: int = DEFAULT_ALTERNATIVES,
        template_arguments: Mapping[str, Any] | None = None,
        prefix: Prefix | None = None,
    ) -> Iterator[Event]:
        """Reply to messages and yield what happens as it happens: the events of `stream`.

        Args:
            messages, max_length, stop_token_ids, max_new_tokens, sampler, seed,
                template_arguments: as `chat`.
            alternatives: how many of the likeliest tokens each `Token` event lists.
            prefix: keeps what the model has read from one call to the next; what a prompt has in
                common with it is not read again. One call at a time may use it.

        Raises:
            ChatTemplateError, PromptError, SettingError, MemoryTooSmallError: as `chat`.
        """
        request = self._chat_request(
            messages,
            template_arguments,
            max_length=max_length,
            stop_token_ids=stop_token_ids,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            seed=seed,
            alternatives=alternatives,
        )
        return stream_events(self.programs, request, self.preprocessor.tokenizer, prefix)

    def chat_template(self) -> ChatTemplate:
        """How conversations with this model are written.

        Raises:
            ChatTemplateError: it has no chat template.
        """
        return ChatTemplate.of(self._reader().tokenizer)

    def _chat_request(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None,
        *,
        max_length: int | None,
        max_new_tokens: int | None,
        stop_token_ids: StopIds,
        **settings: Any,
    ) -> Request:
        if max_length is None and max_new_tokens is None:
            max_new_tokens = USUAL_REPLY
        max_length = self._longest() if max_length is None else max_length
        settings |= {"max_length": max_length, "max_new_tokens": max_new_tokens}
        stops = self._reply_stops(stop_token_ids)
        return self._messages_request(messages, template_arguments, **settings, **stops)

    def _reply_stops(self, stop_token_ids: StopIds) -> dict[str, Any]:
        """What ends a reply, as `_prompt_request` takes it."""
        if not isinstance(stop_token_ids, str) or stop_token_ids != "auto":
            return {"stop_token_ids": stop_token_ids}
        stops = stops_of_turn(self.chat_template(), self._reader().tokenizer)
        known = self._writable(stops.token_ids)
        return {"stop_token_ids": known, "stop_sequences": stops.sequences}

    def _messages_request(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None,
        **settings: Any,
    ) -> Request:
        """The request for a conversation."""
        ids = self._reader().chat_ids(messages, template_arguments)
        return self._prompt_request([ids], **settings)
