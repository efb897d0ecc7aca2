"""Answer requests within limits; run by path in a separate process, never imported.

Reads and writes messages: eight bytes of length, then JSON. Arguments: CPU seconds for one answer,
bytes of memory, exit status when out of memory, the file that defines `answer(request)`, and the
folders of its packages.
"""

import json
import os
import runpy
import signal
import sys

CPU_SECONDS, MEMORY, OUT_OF_MEMORY = map(int, sys.argv[1:4])
PROGRAM = sys.argv[4]
sys.path += sys.argv[5:]


def reply(answer, request):  # noqa: ANN001, ANN201
    """Return the answer to one request, or the reason why there is none."""
    try:
        return {"answer": answer(request)}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:  # a panic in a Rust library is no Exception
        name = type(error).__name__
        return {"error": (str(error) if name == "Refused" else f"{name}: {error}")[:1000]}


def limit_memory():  # noqa: ANN201
    """Limit memory on Linux; elsewhere the parent watches."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def start_clock(seconds):  # noqa: ANN001, ANN201
    """Have the system kill this process after that much CPU time, even inside C code."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main():  # noqa: ANN201
    """Answer until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles a notebook's interrupt
    answer = runpy.run_path(PROGRAM)["answer"]
    limit_memory()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    while size := int.from_bytes(incoming.read(8), "big"):
        request = json.loads(incoming.read(size))
        start_clock(CPU_SECONDS)
        data = json.dumps(reply(answer, request)).encode()
        start_clock(0)
        outgoing.write(len(data).to_bytes(8, "big") + data)
        outgoing.flush()


if __name__ == "__main__":
    main()
