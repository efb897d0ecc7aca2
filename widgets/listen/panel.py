"""The listen panel: streams the transcript of a recording, and plays both together."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import traitlets

from workbench.audio import AudioSource
from workbench.errors import AudioError, PromptError, SettingError
from workbench.tasks.transcription import Segment

from ..shared import settings as setting
from ..shared.buffers import Parts, floats
from ..shared.model import check_model
from ..shared.pages import page, style
from ..shared.run_panel import RunPanel
from .recordings import (
    HIGHEST_PAGE_RATE,
    MAX_UPLOAD_SECONDS,
    Recording,
    check_name,
    clock_text,
    from_page,
    peaks,
    read_recording,
)
from .runs import ListenRun, code_of

UNSAVED = "recording.wav"  # the code's name for a recording without a file
LOWEST_PAGE_RATE = 8_000
_PRINTED_PEAKS = 200


class ListenPanel(RunPanel):
    """Record, drop or choose a recording, read its transcript, and play both together.

    Args:
        lm: A speech model (`AudioToText`), or the handle of a preset, as for `GeneratePanel`.
        audio: The recording: a path, bytes or an array, as for `audio.open_audio`, or a pair
            `(array, rate)`.
        **settings: `sampler` ("greedy", "random", "top_k", "top_p"), `temperature`, `top_k`,
            `top_p`, `min_p`, `repetition_penalty`, `max_new_tokens`, `seed`. Without
            `max_new_tokens` the length of the recording bounds the text.

    Raises:
        AudioError: The recording cannot be read.
        SettingError: A setting is unknown or out of its range, or the model reads no audio.

    Everything on the page can also be done from Python, on the same object:

    ```python
    panel = wb.listen("digits_tiny", audio="three_one_four.wav")
    panel.start()
    panel.wait()
    print(panel.text, panel.segments)
    ```
    """

    _esm = page("listen/panel.js")
    _css = style("listen")

    max_new_tokens = traitlets.Any(None).tag(sync=True)
    recording = traitlets.Dict().tag(sync=True)
    page_rate = traitlets.Int(16_000).tag(sync=True)
    longest = traitlets.Int(MAX_UPLOAD_SECONDS).tag(sync=True)

    defaults: ClassVar = {**setting.DEFAULTS, "sampler": "greedy", "max_new_tokens": None}
    page_writes: ClassVar = {"show": setting.check_view}
    commands: ClassVar = {
        **RunPanel.commands,
        "start": (),
        "audio": ("name", "rate", "part", "parts"),
        "sound": ("recording",),
        "remove": (),
    }

    def __init__(self, lm: Any, audio: Any = None, **settings: Any) -> None:
        self._upload = Parts(4 * MAX_UPLOAD_SECONDS * HIGHEST_PAGE_RATE)
        self._recordings = 0
        self._recording: Recording | None = None
        if not isinstance(lm, str | Path):
            check_hears(check_model(lm))
        recording = None if audio is None else _read(1, audio)
        super().__init__(lm, settings, show="plain")
        if recording is not None:
            self._show_recording(recording)

    # -- actions ------------------------------------------------------------------------

    @property
    def audio(self) -> tuple[np.ndarray, int] | None:
        """The recording, float32 (samples,), and its rate in samples per second, or None. Assign
        `(array, rate)`, or anything that `open_audio` takes."""
        heard = self._recording
        return None if heard is None else (heard.samples, heard.rate)

    @audio.setter
    def audio(self, source: tuple[Any, int] | AudioSource | None) -> None:
        self._show_recording(None if source is None else _read(self._recordings + 1, source))

    # -- state --------------------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        """The transcribed pieces so far, each with its seconds and the index of its first token."""
        return self._run.segments if self._run is not None else []

    def describe(self) -> list[str]:
        """Return heading, recording and transcript as lines of text."""
        lines = super().describe()
        if self._recording is not None:
            lines.append(f"Recording: {self._recording.name}, {_facts(self._recording)}")
        if self._run is not None:
            lines += [
                f"{clock_text(segment.start_seconds)}  {text}"
                for segment, text in self._run.passages
            ]
            lines.append(self._run.summary)
        return lines

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self._recording is not None:
            data["text/html"] += _drawn(self._recording)
        return data, metadata

    # -- how it works -------------------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """Take over the loaded model."""
        super().adopt(lm)
        self.page_rate = lm.preprocessor.converter("audio_converter").sampling_rate

    @classmethod
    def check_setting(cls, name: str, value: object) -> Any:
        """Check a setting as other panels do; here `max_new_tokens` may be None."""
        unbounded = name == "max_new_tokens" and value is None
        return None if unbounded else super().check_setting(name, value)

    def check_ready(self) -> None:
        """Raise a PromptError if there is no recording."""
        if self._recording is None:
            raise PromptError("the panel has no recording: drop one on it, or set panel.audio")

    def new_run(self, number: int) -> ListenRun:
        """Return a run that transcribes the recording."""
        return ListenRun(number, self._lm, self._recording, self.settings, self.on_event)

    def bring_back(self, run: ListenRun) -> None:
        """Restore the run's recording."""
        if run.recording is not self._recording:
            self._show_recording(run.recording)

    def forget(self) -> None:
        """Clear the recording."""
        self.audio = None

    def code_now(self, preset: str | None) -> str:
        """Return Python code that transcribes the same recording."""
        heard, shown = self._recording, self._run or self
        path = UNSAVED if heard is None else heard.path or UNSAVED
        return code_of(preset, path, shown.settings)

    def _adopt_model(self, lm: Any) -> None:
        super()._adopt_model(check_hears(lm))

    def _show_recording(self, recording: Recording | None) -> None:
        """Show another recording or none, and clear the previous transcript."""
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self._recording = recording
            if recording is not None:
                self._recordings = max(self._recordings, recording.number)
            self.recording = {} if recording is None else recording.shown()
            if self._lm is not None:
                self.put(None)
            self._write_code()

    # -- what the page asks for ---------------------------------------------------------

    def _on_start(self) -> None:
        if self.busy or self.status == "loading":
            return
        if self._recording is None:
            raise SettingError("there is no recording to listen to")
        self.start()

    def _on_audio(self, name: object, rate: object, part: object, parts: object) -> None:
        """Take samples that the page has decoded; show an error if they are not a recording."""
        label = check_name(name)
        if type(rate) is not int or not LOWEST_PAGE_RATE <= rate <= HIGHEST_PAGE_RATE:
            raise SettingError(f"rate: expected {LOWEST_PAGE_RATE} to {HIGHEST_PAGE_RATE}")
        self.refuse_when_busy()
        content = self._upload.take(part, parts, self._buffers)
        if content is None:
            return
        try:
            self._show_recording(from_page(self._recordings + 1, label, floats(content), rate))
            self.error = None
        except AudioError as error:
            self.show_error(str(error))
        self.tell({"type": "opened"})

    def _on_sound(self, recording: object) -> None:
        heard = self._recording
        if heard is None or type(recording) is not int or recording != heard.number:
            raise SettingError(f"there is no recording {str(recording)[:20]}")
        if heard.playable:
            self.send({"type": "sound", "recording": recording}, buffers=[heard.sound()])

    def _on_remove(self) -> None:
        self.audio = None


def check_hears(lm: Any) -> Any:
    """Return the model itself, or raise a SettingError if it reads text alone."""
    if lm.preprocessor.converter("audio_converter") is None:
        raise SettingError(
            f"{lm.name} hears nothing: load a preset of recordings to text, or use wb.generate(lm)"
        )
    return lm


def _read(number: int, source: Any) -> Recording:
    if isinstance(source, tuple) and len(source) == 2:
        return read_recording(number, *source)
    return read_recording(number, source)


def _facts(recording: Recording) -> str:
    return f"{clock_text(recording.seconds)}, {recording.rate / 1000:g} kHz"


def _drawn(recording: Recording) -> str:
    """Return the waveform as a small drawing, for places without a page."""
    ends = peaks(recording.samples, _PRINTED_PEAKS)
    bars = "".join(
        f"M{3 * i + 1} {32 - high / 4:.1f}V{33 - low / 4:.1f}" for i, (low, high) in enumerate(ends)
    )
    label = html.escape(f"{recording.name}, {_facts(recording)}")
    return (
        f'<svg role="img" aria-label="{label}" width="{3 * len(ends)}" height="65" '
        f'viewBox="0 0 {3 * len(ends)} 65"><path d="{bars}" stroke="#888" stroke-width="2"/></svg>'
    )


def listen(lm: Any, audio: Any = None, **settings: Any) -> ListenPanel:
    """Return a panel that transcribes recordings; see `ListenPanel` for the arguments.

    ```python
    wb.listen("digits_tiny", audio="three_one_four.wav")
    ```
    """
    return ListenPanel(lm, audio, **settings)
