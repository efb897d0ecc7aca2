"""Messages with pictures: `{"type": "image", "image": ...}` among the parts of their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import PromptError, shown
from workbench.tokenizers.chat import check_messages

Content = str | Sequence[Mapping[str, Any]]
"""The content of a message: a text, or a list of text and picture parts."""


def image_messages(
    messages: str | Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the messages for a template, with `{"type": "image"}` for each picture, and the
    pictures in order.

    Raises:
        PromptError: the messages are malformed, or an image part has no picture.
    """
    pictures: list[Any] = []
    plain = [
        {**message, "content": _without_pictures(message.get("content"), index, pictures)}
        for index, message in enumerate(check_messages(messages))
    ]
    return plain, pictures


def check_content(content: Content) -> Content:
    """Check and return the content of a user's message.

    Raises:
        PromptError: the content is neither a text nor a list of text and picture parts.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple) or not content:
        raise PromptError(
            f"message: expected a string or parts of content, got {type(content).__name__}"
        )
    image_messages([{"role": "user", "content": content}])
    return [dict(part) for part in content]


def content_text(content: Content) -> str:
    """Return a message's text, with `[picture]` for each picture."""
    if isinstance(content, str):
        return content
    return " ".join("[picture]" if _is_image(part) else str(part.get("text")) for part in content)


def _without_pictures(content: Any, index: int, pictures: list[Any]) -> Any:
    if not isinstance(content, list | tuple):
        return content
    return [_without_picture(part, f"messages[{index}]", pictures) for part in content]


def _without_picture(part: Any, where: str, pictures: list[Any]) -> Any:
    if not isinstance(part, Mapping):
        raise PromptError(f"{where}: content: expected parts with a type, got {shown(part)}")
    if not _is_image(part):
        if part.get("type") == "text" and not isinstance(part.get("text"), str):
            raise PromptError(f"{where}: content: expected a string as the text of a part")
        return dict(part)
    if part.get("image") is None:
        raise PromptError(f"{where}: content: expected a picture under 'image', got none")
    pictures.append(part["image"])
    return {"type": "image"}


def _is_image(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "image"
