"""Replies of an instruct model: messages in, a reply out, at once or as a stream of events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.events import Events
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Programs
from workbench.generation.request import Request
from workbench.generation.stream import collect_texts, stream_events
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tokenizers import ChatTemplate
from workbench.tokenizers.end_of_turn import stops_of_turn

USUAL_REPLY = 512


class Converses:
    """Mix-in for replies to messages: `lm.chat`, `lm.stream_chat`."""

    programs: Programs

    @abstractmethod
    def _reader(self) -> CausalLMPreprocessor:
        """Return the preprocessor, or raise a `SettingError`."""

    @abstractmethod
    def _longest(self) -> int:
        """Return how many tokens a conversation may have, its reply included."""

    @abstractmethod
    def _writable(self, stop_ids: Iterable[int]) -> tuple[int, ...]:
        """Return the ids that the model can write."""

    @abstractmethod
    def _prompt_request(self, prompts: list[list[int]], **settings: Any) -> Request:
        """Return the request for the user's prompts, given as ids."""

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
        tokens stay words. `workbench.Chat` keeps a conversation and reads only new tokens.

        Args:
            messages: a string, or a list of `{"role": ..., "content": ...}`. For a model that
                reads pictures, the content may be a list of parts,
                `{"type": "text", "text": ...}` and `{"type": "image", "image": ...}`.
            max_length: limit of tokens in prompt and reply together; by default the length the
                model was made for, `self.context_length`.
            stop_token_ids: as `generate`; "auto" stops at the end of the model's turn. If the
                template writes that end as plain text, the reply does not include it.
            max_new_tokens: tokens to add at most; 512 if neither limit is given.
            sampler: used for this call instead of the compiled one.
            seed: makes the call repeatable.
            template_arguments: more variables for the template, such as
                `{"enable_thinking": False}`.

        Returns:
            The reply, without special tokens and without white space around it.

        Raises:
            ChatTemplateError: the model has no chat template (a base model), or the template
                refuses the messages or fails.
            PromptError: the messages are malformed, or leave no room for a token.
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
        (reply,) = collect_texts(self.programs, request, self._reader().tokenizer)
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
    ) -> Events:
        """Reply to messages and yield the events of `stream` while the model writes.

        Args:
            messages, max_length, stop_token_ids, max_new_tokens, sampler, seed,
                template_arguments: as `chat`.
            alternatives: how many of the likeliest tokens each `Token` event lists.
            prefix: keeps the tokens the model has read between calls. The model does not read
                again the part a prompt shares with it. One call at a time may use it.

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
        return stream_events(self.programs, request, self._reader().tokenizer, prefix)

    def chat_template(self) -> ChatTemplate:
        """Return the template that writes conversations with this model.

        Raises:
            ChatTemplateError: the model has no chat template.
        """
        return ChatTemplate.of(self._reader().tokenizer)

    def chat_tokens(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> int:
        """Return the number of tokens the model reads for a conversation.

        Raises:
            ChatTemplateError, PromptError: as `chat`.
        """
        return len(self._reader().chat_ids(messages, template_arguments))

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
        """Return the arguments of `_prompt_request` that end a reply."""
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
        """Return the request for a conversation."""
        ids = self._reader().chat_ids(messages, template_arguments)
        return self._prompt_request([ids], **settings)
