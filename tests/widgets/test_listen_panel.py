"""ListenPanel without a page: driven from Python, the protocol it speaks, and hostile pages."""

import io
import json
import random

import numpy as np
import pytest
import soundfile
from audio_doubles import RATE, FakeHearingLM, bursts
from doubles import FakeLM, FakePreprocessor
from patience import HANG, until
from workbench.widgets import ListenPanel, listen
from workbench.widgets.listen import recordings
from workbench.widgets.shared import buffers

from workbench.errors import AudioError, PromptError, SettingError, WorkbenchError

SOUND = (bursts(), RATE)

pytestmark = pytest.mark.usefixtures("kernel")


def panel_of(lm=None, audio=SOUND, **options):
    return ListenPanel(lm or FakeHearingLM(), audio, **options)


def say(panel, data, *content):
    """A message of the page, as the comm delivers it."""
    panel.comm.handle_msg({"content": {"data": data}, "buffers": list(content)})


def command(panel, name, /, *content, **arguments):
    say(panel, {"method": "custom", "content": {"command": name, **arguments}}, *content)


def upload(panel, samples, rate=RATE, name="said.wav", part_bytes=100_000):
    data = samples.astype("<f4").tobytes()
    parts = [data[at : at + part_bytes] for at in range(0, len(data), part_bytes)] or [b""]
    for number, content in enumerate(parts):
        command(panel, "audio", content, name=name, rate=rate, part=number, parts=len(parts))


def customs(panel, kind):
    return [
        data
        for _, _, data in panel.comm.drain()
        if data.get("method") == "custom" and data["content"]["type"] == kind
    ]


# -- driven from Python ---------------------------------------------------------------------


def test_a_recording_becomes_text_by_segments():
    panel = listen(FakeHearingLM(), (bursts(8.0), RATE))
    assert panel.status == "idle" and panel.text == "" and panel.segments == []
    panel.start()
    assert panel.wait(HANG) and panel.status == "done"
    assert len(panel.segments) == 4 and len(panel.tokens) == 16
    assert panel.text == "".join(token.text for token in panel.tokens)
    shown = panel.output["segments"]
    assert [first for _, _, first in shown] == [s.first_token for s in panel.segments]
    assert shown[0][0] == 0 and shown[-1][1] == 8.0
    passages = panel.history[0].passages
    assert " ".join(text for _, text in passages) == panel.text.strip()
    assert panel.output["summary"] == "16 tokens · 0:08.0 heard in 0.5 s · stop: end token"
    assert panel.runs == [{"number": 1, "label": f"Run 1: recording, {panel.output['summary']}"}]


def test_audio_is_a_path_an_array_with_its_rate_or_bytes(tmp_path):
    samples = bursts(1.0, 44_100)
    path = tmp_path / "said.wav"
    soundfile.write(path, samples, 44_100)
    for source, name in ((path, "said.wav"), (path.read_bytes(), "recording")):
        panel = panel_of(audio=source)
        assert panel.audio[1] == RATE and panel.audio[0].shape == (RATE,)
        assert panel.recording["name"] == name and panel.recording["seconds"] == 1.0
    panel.audio = samples, 44_100
    assert panel.audio[1] == 44_100 and np.array_equal(panel.audio[0], samples)
    panel.audio = None
    assert panel.audio is None and panel.recording == {}


def test_what_is_no_recording_is_refused_and_the_one_before_stays():
    panel = panel_of()
    before = panel.recording
    for source in ("nowhere.wav", b"no sound", (np.zeros(10), RATE), (bursts(), 3)):
        with pytest.raises((AudioError, SettingError)):
            panel.audio = source
    assert panel.recording == before
    with pytest.raises(AudioError, match="seconds"):
        panel_of(audio=np.zeros(10))


def test_without_a_recording_there_is_nothing_to_start():
    panel = panel_of(audio=None)
    with pytest.raises(PromptError, match="drop one on it"):
        panel.start()
    command(panel, "start")
    assert "no recording" in panel.error["message"] and panel.status == "idle"


def test_a_model_that_reads_text_alone_is_refused():
    lm = FakeLM()
    lm.preprocessor = type("Reader", (FakePreprocessor,), {"converter": lambda self, name: None})()
    with pytest.raises(SettingError, match=r"hears nothing.*wb\.generate"):
        listen(lm)


def test_cancel_keeps_what_was_heard_and_the_next_run_is_whole():
    lm = FakeHearingLM(hold_at=7)
    panel = panel_of(lm)
    panel.start()
    with pytest.raises(WorkbenchError, match="cancel"):
        panel.audio = bursts(1.0), RATE
    until(lambda: len(panel.tokens) > 6)
    panel.cancel()
    lm.pace.allow()
    assert panel.wait(HANG) and panel.status == "stopped"
    heard = panel.text
    assert len(panel.segments) < 4 and panel.output["segments"][-1][2] <= len(panel.tokens)
    panel.start()
    assert panel.wait(HANG) and panel.text.startswith(heard) and len(panel.text) > len(heard)


def test_restore_brings_back_the_recording_too():
    panel = panel_of()
    panel.start()
    panel.wait(HANG)
    first, text = panel.recording["number"], panel.text
    panel.audio = bursts(2.0), RATE
    assert panel.text == "" and panel.recording["number"] == first + 1
    panel.start()
    panel.wait(HANG)
    panel.restore(1)
    assert panel.recording["number"] == first and panel.text == text
    assert panel.output["recording"] == first
    panel.reset()
    assert panel.audio is None and panel.runs == [] and panel.history == []


def test_the_text_is_bounded_only_where_it_is_asked():
    lm = FakeHearingLM()
    panel = panel_of(lm)
    panel.start()
    panel.wait(HANG)
    assert lm.calls[0]["max_new_tokens"] is None and repr(lm.calls[0]["sampler"]).startswith("Gree")
    panel.max_new_tokens = 3
    panel.start()
    assert panel.wait(HANG) and len(panel.tokens) == 3
    with pytest.raises(SettingError, match="max_new_tokens"):
        panel.max_new_tokens = 0
    panel.settings = {"max_new_tokens": None}
    assert panel.settings["max_new_tokens"] is None


@pytest.mark.parametrize(
    ("settings", "call"),
    [
        ({}, 'lm.transcribe("{path}")'),
        (
            {"sampler": "top_k", "top_k": 7, "temperature": 0.5, "seed": 3, "max_new_tokens": 9},
            'lm.transcribe("{path}", sampler=wb.samplers.TopKSampler(k=7, temperature=0.5), '
            "seed=3, max_new_tokens=9)",
        ),
    ],
)
def test_the_code_says_the_same(tmp_path, settings, call):
    path = tmp_path / "said.wav"
    soundfile.write(path, bursts(1.0), RATE)
    panel = panel_of(audio=str(path), **settings)
    assert panel.code == (
        'import workbench as wb\n\nlm = wb.models.AudioToText.from_preset("hears_tiny")\n'
        + call.format(path=path)
    )


def test_failures_are_one_sentence():
    panel = panel_of(FakeHearingLM(error_at_once=RuntimeError("the model broke")))
    panel.start()
    assert panel.wait(HANG) and panel.status == "failed"
    assert "the model broke" in panel.error["message"] and "Traceback" in panel.error["details"]


def test_it_prints_without_a_page():
    panel = panel_of()
    panel.audio = bursts(2.0), RATE
    panel.start()
    panel.wait(HANG)
    data, _ = panel._repr_mimebundle_()
    lines = data["text/plain"].split("\n")
    assert lines[0] == "hears_tiny · Fake · 2.90 M · float32 (done)"
    assert lines[1] == "Recording: recording, 0:02.0, 16 kHz"
    assert lines[2] == f"0:00.0  {panel.text.strip()}"
    assert "<svg" in data["text/html"] and "<script" not in data["text/html"]


# -- what the page says ---------------------------------------------------------------------


def test_samples_come_in_parts():
    panel = panel_of(audio=None)
    samples = bursts(3.0, 24_000)
    upload(panel, samples, 24_000, "a/b\x00.webm")
    assert panel.error is None and panel.audio[1] == 24_000
    assert np.array_equal(panel.audio[0], samples)
    assert panel.recording["name"] == "a/b.webm" and len(customs(panel, "opened")) == 1
    command(panel, "start")
    assert panel.wait(HANG) and len(panel.tokens) == 6


def test_the_sound_goes_to_the_page_when_it_asks():
    panel = panel_of()
    panel.comm.drain()
    command(panel, "sound", recording=panel.recording["number"])
    [message] = customs(panel, "sound")
    samples, rate = soundfile.read(io.BytesIO(message["buffers"][0]), dtype="float32")
    assert rate == RATE and np.abs(samples - panel.audio[0]).max() < 1e-4
    command(panel, "sound", recording=99)
    assert "no recording 99" in panel.error["message"]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "at least 0.1 seconds"),
        (np.full(RATE, np.nan), "finite"),
        (np.full(RATE, np.inf), "finite"),
    ],
)
def test_samples_that_are_no_recording_are_one_sentence(samples, reason):
    panel = panel_of()
    before = panel.recording
    upload(panel, samples)
    assert reason in panel.error["message"] and panel.recording == before


def test_a_recording_from_the_page_has_an_end(monkeypatch):
    monkeypatch.setattr(recordings, "MAX_UPLOAD_SECONDS", 60)
    panel = panel_of()
    upload(panel, np.zeros(61 * 8000, np.float32), 8000)
    assert "may last 1 minutes" in panel.error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 7999},
        {"rate": 48_001},
        {"rate": 16_000.0},
        {"rate": True},
        {"part": 1},
        {"part": -1},
        {"parts": 0},
        {"parts": 10**9},
        {"part": "0"},
    ],
)
def test_impossible_parts_change_nothing(arguments):
    panel = panel_of()
    before = panel.recording
    given = {"name": "x", "rate": RATE, "part": 0, "parts": 1, **arguments}
    command(panel, "audio", bursts(1.0).tobytes(), **given)
    assert panel.error is not None and panel.recording == before


def test_parts_are_bounded_in_sum_and_whole():
    parts = buffers.Parts(10)
    assert parts.take(0, 3, [b"12345678"]) is None
    with pytest.raises(buffers.TooLarge, match="may have"):
        parts.take(1, 3, [b"12345678"])
    with pytest.raises(SettingError, match="comes next"):
        parts.take(1, 3, [b"1"])
    for content in ([], [b"1", b"2"]):
        with pytest.raises(SettingError, match="one buffer"):
            parts.take(0, 1, content)
    with pytest.raises(SettingError, match="5 bytes"):
        buffers.floats(b"12345")


def test_peaks_show_the_loudest_of_each_stretch():
    samples = np.zeros(RATE, np.float32)
    samples[100], samples[-1] = 0.5, -0.25
    ends = recordings.peaks(samples, 10)
    assert ends.shape == (10, 2) and ends[0].tolist() == [0, 127] and ends[-1].tolist() == [-64, 0]
    assert recordings.peaks(samples[:4], 10).shape == (4, 2)


def test_random_messages_change_nothing_and_kill_nothing():
    panel = panel_of()
    values = [None, 0, -1, 2**70, 1.5, float("nan"), "", "x" * 9999, [], {}, True, ["recording"]]
    draw = random.Random(7)
    names = [*ListenPanel.commands, "nothing", "_ipython_display_", "__class__"]
    before = panel.recording
    for _ in range(1500):
        name = draw.choice(names)
        known = ListenPanel.commands.get(name, ("a",))
        arguments = {key: draw.choice(values) for key in known if draw.random() < 0.9}
        if name in ("start", "reset", "remove") and not arguments:
            continue
        command(panel, name, *draw.choice([(), (b"",), (b"abc", b"d")]), **arguments)
        say(panel, {"method": "update", "state": {draw.choice(["audio", "code"]): 1}})
    assert panel.recording == before and panel.status == "idle"
    json.dumps({k: v for k, v in panel.error.items()})


def test_closing_ends_the_run():
    panel = panel_of(FakeHearingLM(hold_at=4))
    panel.start()
    until(lambda: panel.tokens)
    panel.close()
    panel.lm.pace.allow()
    assert panel.wait(HANG) and panel.comm is None and panel.text
