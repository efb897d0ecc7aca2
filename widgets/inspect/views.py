"""Views of a text inside the model: its layers and attention, read in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from workbench.errors import SettingError, WorkbenchError
from workbench.inspection import Inspection, Lens
from workbench.jobs.job import FINAL, Job, JobState, JobStatus

from ..shared.panel import MAX_SHOWN

LEVELS = 65_535  # steps from 0 to 1 of an attention weight sent to the page
MOST_BYTES = 32_000_000  # of one layer's weights; a server refuses larger messages, a page is slow
_LITTLE = {"i": "<i4", "f": "<f4"}

Answer = tuple[dict[str, Any], list[bytes]]


class ViewJob(Job):
    """Reads part of an inspection as a job in the model's queue."""

    thread_name = "workbench-inspect"

    def __init__(
        self, lm: Any, read: Callable[[], Answer], on_event: Callable[[ViewJob, JobState], None]
    ) -> None:
        self.answer: Answer = {}, []
        self._read = read
        super().__init__(lm, lambda state: on_event(self, state))

    def _do(self) -> JobStatus:
        self._enter("running")
        self.answer = self._read()
        return "done"


class InspectViews:
    """Mix-in for a panel with an `inspection`: answers the page's requests for layers and
    attention.

    `shown_key` is a different number for every inspection. Requests about an inspection that is not
    shown, and answers that come too late, are dropped. A message has `type`, `key` and the `state`:
    "queued", "working", "failed" with a `message`, or "ready".
    """

    commands: ClassVar[dict[str, tuple[str, ...]]] = {
        "lens": ("key",),
        "attention": ("key", "layer"),
    }
    inspection: Inspection | None
    shown_key: int
    send: Callable[..., None]
    _lm: Any
    _lock: threading.RLock

    def __init__(self, *arguments: Any, **traits: Any) -> None:
        self._reading: dict[str, ViewJob] = {}
        super().__init__(*arguments, **traits)

    def drop_views(self) -> None:
        """Drop all requests that are being read."""
        with self._lock:
            for job in self._reading.values():
                job.cancel()
            self._reading.clear()

    def _on_lens(self, key: object) -> None:
        if self._is_shown(key):
            inspection = self.inspection
            self._read("lens", lambda: lens_answer(inspection))

    def _on_attention(self, key: object, layer: object) -> None:
        if not self._is_shown(key):
            return
        inspection = self.inspection
        if type(layer) is not int or not 0 <= layer < inspection.layers:
            raise SettingError(f"layer: expected 0 to {inspection.layers - 1}, got {layer!r}"[:200])
        self._read("attention", lambda: attention_answer(inspection, layer), layer=layer)

    def _is_shown(self, key: object) -> bool:
        if type(key) is not int:
            raise SettingError("key must be a whole number")
        return self.inspection is not None and key == self.shown_key

    def _read(self, kind: str, read: Callable[[], Answer], **facts: int) -> None:
        """Start to read; this replaces the page's earlier request of this kind."""
        key = self.shown_key

        def tell(job: ViewJob, state: JobState) -> None:
            with self._lock:
                if self._reading.get(kind) is job and self.shown_key == key:
                    self._report(kind, job, state, {"type": kind, "key": key, **facts})

        before = self._reading.get(kind)
        if before is not None:
            before.cancel()
        self._reading[kind] = job = ViewJob(self._lm, read, tell)
        job.start()

    def _report(self, kind: str, job: ViewJob, state: JobState, head: dict[str, Any]) -> None:
        if state.status in FINAL:
            del self._reading[kind]
        if state.status == "done":
            fields, buffers = job.answer
            self.send({**head, "state": "ready", **fields}, buffers=buffers)
        elif state.status == "error":
            self.send({**head, "state": "failed", "message": sentence_of(job.error)})
        elif state.status in ("queued", "running"):
            name = "queued" if state.status == "queued" else "working"
            self.send({**head, "state": name})


def sentence_of(error: BaseException | None) -> str:
    """Return the error as one sentence."""
    if isinstance(error, WorkbenchError):
        return str(error)
    return f"{type(error).__name__}: {str(error)[:MAX_SHOWN]}"


def lens_answer(inspection: Inspection) -> Answer:
    """Return the lens for the page: places 1 to T (place 0 has no prediction), layers as rows.

    The buffers, little-endian, are: the likeliest tokens as indices of `pieces`, int32 (L, T, k),
    and their natural log-probabilities, float32 (L, T, k); the actual token's log-probability,
    float32 (L, T), and rank, int32 (L, T); the entropy in nats, float32 (L, T). `text` has the
    index of the token at each place from 1 on, -1 for the one still to come; `tokens` has their
    pieces, including those of parts of a picture.
    """
    lens = inspection.lens()
    text = [*inspection.ids[1:].tolist(), -1]
    likeliest = lens.ids[:, 1:]
    table, numbers = np.unique(np.append(likeliest.ravel(), text), return_inverse=True)
    fields = {
        "layers": list(lens.layers),
        "places": len(text),
        "k": likeliest.shape[2],
        "pieces": [inspection.piece(token) if token >= 0 else "" for token in table.tolist()],
        "text": [*numbers[likeliest.size : -1].tolist(), -1],
        "tokens": list(inspection.pieces[1:]),
        "first": inspection.pieces[0],
    }
    return fields, [buffer_of(array) for array in _columns(lens, numbers, likeliest.shape)]


def _columns(lens: Lens, numbers: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    return [
        numbers[: np.prod(shape, dtype=int)].reshape(shape),
        lens.logprobs[:, 1:],
        lens.token_logprobs[:, 1:],
        lens.token_ranks[:, 1:],
        lens.entropies[:, 1:],
    ]


def buffer_of(array: np.ndarray) -> bytes:
    """Return integers as int32, other numbers as float32, little-endian, in C order."""
    return np.ascontiguousarray(array, _LITTLE[array.dtype.kind]).tobytes()


def attention_answer(inspection: Inspection, layer: int) -> Answer:
    """Return one layer's attention for the page: weights in `levels` steps, uint16 (heads, T, T),
    or, if no token attends to a later one (`causal`), each head's lower triangle row by row.

    Raises:
        SettingError: there are too many weights for a page.
    """
    weights = inspection.attention(layer)
    heads, size, _ = weights.shape
    levels = np.rint(np.clip(weights, 0, 1) * LEVELS).astype("<u2")
    causal = not np.triu(levels, 1).any()
    if causal:
        levels = levels[:, *np.tril_indices(size)]
    if levels.nbytes > MOST_BYTES:
        raise SettingError(
            f"The attention of {heads} heads over {size:,} tokens is {levels.nbytes / 1e6:.0f} MB, "
            f"and a page is sent at most {MOST_BYTES // 10**6} MB: read a shorter text, or use "
            f"panel.inspection.attention({layer})"
        )
    fields = {
        "layers": inspection.layers,
        "heads": heads,
        "size": size,
        "levels": LEVELS,
        "causal": causal,
        "pieces": list(inspection.pieces),
    }
    return fields, [levels.tobytes()]
