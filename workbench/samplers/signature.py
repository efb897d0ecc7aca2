"""Signatures of constructors with the arguments that `**kwargs` passes on: `help` shows them, and
`repr` is made from them."""

from __future__ import annotations

import inspect
from typing import Any


def whole_signature(cls: type) -> inspect.Signature:
    """The parameters of the constructor of `cls`, with those its `**kwargs` passes to parents."""
    found: dict[str, inspect.Parameter] = {}
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
        inherited = bool(found)
        for p in parameters:
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                found.setdefault(p.name, p.replace(kind=p.KEYWORD_ONLY) if inherited else p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return inspect.Signature(sorted(found.values(), key=lambda p: p.kind))


def changed_arguments(instance: object) -> dict[str, Any]:
    """The constructor arguments of `instance`, held as attributes, that are not the default."""
    held = vars(instance)
    parameters = inspect.signature(type(instance)).parameters
    return {
        name: held[name]
        for name, p in parameters.items()
        if name in held and repr(held[name]) != repr(p.default)
    }
