"""Render chat templates; run by path in a process with limits (`limited_child.py`).

A template is a small program from an untrusted file. Jinja's sandbox keeps it from Python's
objects, but not from endless loops or strings of gigabytes: only the limits of a process do.
"""

import datetime
import functools
import json

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class GenerationTag(Extension):
    """`{% generation %}...{% endgeneration %}` marks the reply for training; here it gives its
    content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser):  # noqa: ANN001, ANN201
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Refused(Exception):
    """Rendering failed; the user sees only the message."""


def raise_exception(message):  # noqa: ANN001, ANN201
    """Called by a template to refuse messages."""
    raise jinja2.TemplateError(str(message))


def strftime_now(form):  # noqa: ANN001, ANN201
    """Format the local time."""
    return datetime.datetime.now().strftime(form)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):  # noqa: ANN001, ANN201
    """Write JSON without the HTML escapes of Jinja's own filter."""
    options = {"ensure_ascii": ensure_ascii, "indent": indent, "separators": separators}
    return json.dumps(value, sort_keys=sort_keys, **options)


@functools.lru_cache(maxsize=4)
def compiled(source):  # noqa: ANN001, ANN201
    """Compile a template in Transformers' environment. Cached: compiling takes longer than
    rendering."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment.from_string(source)


def rendered(source, variables, most):  # noqa: ANN001, ANN201
    """Render a template, and stop as soon as the text is too long."""
    parts, size = [], 0
    for part in compiled(source).generate(**variables):
        size += len(part)
        if size > most:
            raise Refused(f"writes more than {most} characters")
        parts.append(part)
    return "".join(parts)


def answer(request):  # noqa: ANN001, ANN201
    """Render a template, or raise `Refused` with its reason."""
    try:
        return rendered(**request)
    except jinja2.TemplateSyntaxError as error:
        raise Refused(f"line {error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        if type(error) is jinja2.TemplateError:
            raise Refused(str(error)) from error
        raise
