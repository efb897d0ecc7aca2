"""Load a folder, read a text of so many tokens, and print the peak and the seconds."""

from __future__ import annotations

import json
import resource
import sys
import time


def main(folder: str, call: str, length: int) -> None:
    from workbench.memory.free_memory import resident
    from workbench.models import CausalLM

    lm = CausalLM.from_preset(folder, dtype="float32")
    lm.preprocessor.sequence_length = lm.context_length = length + 8
    ids, before = [5] * length, resident()
    lm.preprocessor.chat_ids = lambda *_: ids  # a conversation of that length
    calls = {
        "chat": lambda: lm.chat("", max_new_tokens=4),
        "stream": lambda: list(lm.stream_ids(ids, max_new_tokens=4)),
        "inspect": lambda: lm.inspect(ids),
    }
    begin = time.monotonic()
    calls[call]()
    seconds = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "beside": peak - before, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
