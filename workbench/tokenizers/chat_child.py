"""Renders chat templates in a process of its own, within limits; run by path, never imported.

A template is a small program from a file nobody vouches for. Jinja's sandbox keeps it from Python's
objects, but neither from endless loops nor from strings of gigabytes: only the limits of a process
do. Reads and writes messages of eight bytes of length and that much JSON.

Arguments: seconds of work and bytes of memory, characters of output, exit status when out of
memory, and where Jinja is found.
"""

import datetime
import json
import os
import signal
import sys

CPU_SECONDS, MEMORY, OUTPUT, OUT_OF_MEMORY = map(int, sys.argv[1:5])
sys.path += sys.argv[5:]

import jinja2  # noqa: E402
from jinja2.ext import Extension, loopcontrols  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402


class GenerationTag(Extension):
    """`{% generation %}...{% endgeneration %}` marks the reply for training; here it is no more
    than its content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser):  # noqa: ANN001, ANN201
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class TooLong(Exception):
    """The output passed its limit."""


def raise_exception(message):  # noqa: ANN001, ANN201
    """How a template refuses messages."""
    raise jinja2.TemplateError(str(message))


def strftime_now(form):  # noqa: ANN001, ANN201
    """The local time, as a template asks for it."""
    return datetime.datetime.now().strftime(form)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):  # noqa: ANN001, ANN201
    """JSON without the escapes that Jinja's own filter makes for web pages."""
    options = {"ensure_ascii": ensure_ascii, "indent": indent, "separators": separators}
    return json.dumps(value, sort_keys=sort_keys, **options)


def compiled(source):  # noqa: ANN001, ANN201
    """A template in the environment that Transformers gives its templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment.from_string(source)


def rendered(source, variables):  # noqa: ANN001, ANN201
    """The text of a template; stops as soon as it is too long."""
    parts, size = [], 0
    for part in compiled(source).generate(**variables):
        size += len(part)
        if size > OUTPUT:
            raise TooLong
        parts.append(part)
    return "".join(parts)


def answer(request):  # noqa: ANN001, ANN201
    """The reply to one request: a text, or why there is none."""
    try:
        return {"text": rendered(request["source"], request["variables"])}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except TooLong:
        return {"error": f"makes more than {OUTPUT} characters"}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"line {error.lineno}: {error.message}"}
    except Exception as error:
        kind = "" if type(error) is jinja2.TemplateError else f"{type(error).__name__}: "
        return {"error": f"{kind}{error}"[:1000]}


def limit_memory():  # noqa: ANN201
    """Where the system can; elsewhere the parent watches."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def start_clock(seconds):  # noqa: ANN001, ANN201
    """The system ends this process after so much of its own time, even inside C code."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main():  # noqa: ANN201
    """Answers until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a notebook's interrupt is the parent's
    limit_memory()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    while size := int.from_bytes(incoming.read(8), "big"):
        request = json.loads(incoming.read(size))
        start_clock(CPU_SECONDS)
        reply = answer(request)
        start_clock(0)
        data = json.dumps(reply).encode()
        outgoing.write(len(data).to_bytes(8, "big") + data)
        outgoing.flush()


if __name__ == "__main__":
    main()
