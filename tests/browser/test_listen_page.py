"""The listen panel on a page of its own: recordings, text, playing, seeking, accessibility."""

import base64
import io
import re
import shutil

import pytest
import soundfile
from audio_doubles import RATE, FakeHearingLM, bursts
from axe_playwright_python.sync_playwright import Axe
from lab import CHROMIUM_FLAGS
from stage import AXE
from workbench.widgets import ListenPanel

MICROPHONE = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
DROP = """
([selector, name, text]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  for (const type of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer });
    document.querySelector(selector).dispatchEvent(event);
  }
}
"""
SOUND = (bursts(), RATE)
HOSTILE = "<img src=x onerror=window.hit=1>"


class NeverLoads(ListenPanel):
    """A panel whose preset is still on its way."""

    def _begin_load(self, claim):
        pass


def wav(samples, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def ears(browser, tmp_path_factory):
    """A browser with a microphone that hears a file."""
    path = tmp_path_factory.mktemp("sounds") / "said.wav"
    path.write_bytes(wav(bursts(4.0, 48_000), 48_000))
    flags = [*CHROMIUM_FLAGS, *MICROPHONE, f"--use-file-for-fake-audio-capture={path}"]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    launched = browser.browser_type.launch(executable_path=chromium, args=flags)
    yield launched
    launched.close()


@pytest.fixture
def stage(put, ears):
    """Puts a panel on a fresh page."""

    def open_(lm=None, scheme="light", width=960, cls=ListenPanel, audio=SOUND, url=""):
        panel = cls(lm or FakeHearingLM(), audio)

        def there(page):  # a page of its own place may use a microphone
            page.route(url, lambda route: route.fulfill(body="", content_type="text/html"))
            page.goto(url)

        return put(
            panel, width, height=560, scheme=scheme, browser=ears, before=there if url else None
        )

    return open_


def press(on, name):
    on.page.get_by_role("button", name=name, exact=True).click()


def finish(on):
    press(on, "Transcribe")
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)


def words(on):
    return "".join(on.page.locator(".wb-token").all_text_contents()).split()


def clock(on):
    return on.page.locator(".wb-clock").text_content()


def alert(on):
    return on.page.get_by_role("alert").text_content()


# -- work -----------------------------------------------------------------------------------


def test_text_streams_under_the_waveform_by_segments(stage):
    on = stage(FakeHearingLM(delay=0.01, hold_at=6))
    press(on, "Transcribe")
    on.until(lambda: len(words(on)) > 0)
    assert on.panel.busy and on.page.get_by_role("button", name="Transcribe").is_disabled()
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert words(on) == on.panel.text.split() and len(words(on)) == 16
    stamps = on.page.locator(".wb-stamp").all_text_contents()
    assert stamps == [f"0:{int(s.start_seconds):02d}" for s in on.panel.segments]
    summary = on.page.locator(".wb-summary").text_content()
    assert re.fullmatch(r"16 tokens · 0:08\.0 heard in \d+\.\d s · stop: end token", summary)
    assert on.page.locator(".wb-wave-lane > span").count() == 4


def test_stop_keeps_the_text_and_runs_come_back(stage):
    on = stage(FakeHearingLM(delay=0.1, hold_at=6))
    on.page.locator(".wb-transcript").focus()
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: len(words(on)) > 2)
    on.page.keyboard.press("Escape")
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")
    on.run(0.1)
    stopped = words(on)
    assert stopped == on.panel.text.split()
    on.panel.lm.pace.delay = 0
    finish(on)
    assert len(words(on)) == 16
    on.page.get_by_role("button", name="Run 1").click()
    on.run(0.2)
    assert words(on) == stopped and len(on.page.locator(".wb-stamp").all()) >= 1


def test_it_plays_and_the_segment_lights(stage):
    on = stage()
    finish(on)
    assert clock(on) == "0:00.0 / 0:08.0"
    press(on, "Play")
    on.until(lambda: not clock(on).startswith("0:00.0"))
    press(on, "Pause")
    on.run(0.1)
    heard = clock(on)
    on.run(0.2)
    assert clock(on) == heard, "paused"
    on.page.locator(".wb-stamp").nth(2).click()
    on.run(0.1)
    start = on.panel.segments[2]
    assert clock(on).startswith(f"0:{start.start_seconds:04.1f}")
    lit = on.page.locator(".wb-heard-now").all_text_contents()
    assert [w.strip() for w in lit] == on.panel.history[0].passages[2][1].split()
    assert on.page.locator(".wb-wave-lane > .wb-now").count() == 1


def test_a_segment_that_is_lit_may_go(stage):
    on = stage()
    finish(on)
    on.page.locator(".wb-stamp").nth(1).click()
    assert on.page.locator(".wb-heard-now").count() > 0
    # A recording may go before its text does.
    on.page.evaluate("fromKernel([{ method: 'update', state: { recording: {} } }])")
    assert on.page.locator(".wb-heard-now").count() == 0
    on.panel.reset()
    on.run(0.1)
    assert words(on) == [] and on.page.locator(".wb-stamp").count() == 0


def test_the_playhead_goes_where_one_clicks_and_by_keys(stage):
    on = stage()
    slider = on.page.get_by_role("slider")
    box = slider.bounding_box()
    on.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    assert clock(on).startswith("0:04.0")
    slider.focus()
    for key, at in (
        ("ArrowRight", "0:05.0"),
        ("Shift+ArrowLeft", "0:00.0"),
        ("End", "0:08.0"),
        ("Home", "0:00.0"),
    ):
        on.page.keyboard.press(key)
        assert clock(on).startswith(at), key
    assert slider.get_attribute("aria-valuetext") == "0.0 seconds of 8.0 seconds"
    on.page.keyboard.press("Space")
    on.until(lambda: on.page.get_by_role("button", name="Pause").is_visible())


# -- recordings come in ---------------------------------------------------------------------


def drop(on, content, name="said.wav"):
    text = base64.b64encode(content).decode()
    on.page.evaluate(DROP, [".wb-listen-stage", name, text])


def test_a_file_that_is_dropped_is_decoded_in_the_page(stage):
    on = stage(audio=None)
    assert on.page.get_by_text("Drop a recording here").is_visible()
    drop(on, wav(bursts(2.0, 44_100), 44_100), f"{HOSTILE}.wav")
    on.until(lambda: on.panel.audio is not None)
    on.run(0.1)
    samples, rate = on.panel.audio
    assert rate == RATE and abs(len(samples) - 2 * RATE) < 200
    assert abs(samples).max() == pytest.approx(abs(bursts(2.0)).max(), abs=0.05)
    assert HOSTILE in on.page.locator(".wb-listen-name").text_content()
    assert on.page.evaluate("window.hit") is None
    finish(on)
    assert len(words(on)) == 4


def test_a_file_that_is_no_recording_is_one_sentence(stage):
    on = stage()
    drop(on, b"no sound at all", "note.txt")
    on.until(lambda: "note.txt is no recording" in alert(on))
    assert on.panel.recording["seconds"] == 8.0


def test_a_file_is_chosen(stage):
    on = stage(audio=None)
    files = [{"name": "a.wav", "mimeType": "audio/wav", "buffer": wav(bursts(1.0))}]
    on.page.get_by_label("Recording file").set_input_files(files)
    on.until(lambda: on.panel.audio is not None)
    on.run(0.1)
    press(on, "Remove")
    on.until(lambda: on.panel.audio is None)
    on.run(0.05)
    assert on.page.get_by_text("Drop a recording here").is_visible()


def test_too_long_a_file_is_one_sentence(stage):
    on = stage(audio=None)
    on.panel.longest = 1
    on.run(0.05)
    drop(on, wav(bursts(2.0)))
    on.until(lambda: "lasts 0:02: at most 0:01" in alert(on))
    assert on.panel.audio is None


def test_the_microphone_records_what_it_hears(stage):
    on = stage(audio=None, url="https://panel.test/")
    press(on, "Record")
    on.until(lambda: on.page.get_by_role("timer").is_visible())
    on.until(lambda: on.page.get_by_role("timer").text_content() >= "0:01.2 of at most 10:00")
    assert on.page.get_by_role("button", name="Transcribe").is_disabled()
    found = Axe().run(on.page, context=".wb-listen", options=AXE)
    assert found.violations_count == 0, found.generate_report()
    press(on, "Stop recording")
    on.until(lambda: on.panel.audio is not None)
    samples, rate = on.panel.audio
    assert rate == RATE and 1.0 < len(samples) / rate < 5.0
    assert abs(samples).max() > 0.1, "the sound of the file"
    assert on.panel.recording["name"] == "microphone.webm"
    press(on, "Record")
    on.until(lambda: on.page.get_by_role("timer").is_visible())
    on.page.keyboard.press("Escape")
    on.until(lambda: on.page.get_by_role("timer").is_hidden())
    assert on.panel.audio[0] is samples, "what is discarded changes nothing"


def test_a_place_without_a_microphone_says_what_to_do(stage):
    on = stage(audio=None)
    press(on, "Record")
    on.until(lambda: "microphone" in alert(on))
    assert "choose a file" in alert(on)
    assert on.page.get_by_role("button", name="Record", exact=True).is_enabled()


# -- states and accessibility ---------------------------------------------------------------


def test_states_say_what_is_going_on(stage):
    on = stage(cls=NeverLoads, lm="digits_tiny", audio=None)
    assert "Loading digits_tiny" in on.page.locator(".wb-empty").text_content()
    on.page.context.close()
    on = stage(FakeHearingLM(error_at_once=RuntimeError("the model broke")))
    press(on, "Transcribe")
    on.until(lambda: "the model broke" in alert(on))
    assert on.page.locator(".wb-status").text_content() == "failed"


@pytest.mark.parametrize(("scheme", "width"), [("light", 960), ("dark", 480)])
def test_nothing_is_wrong_with_its_accessibility(stage, scheme, width, screenshots):
    on = stage(scheme=scheme, width=width)
    finish(on)
    on.page.locator(".wb-stamp").nth(1).click()
    on.run(0.05)
    on.page.screenshot(path=screenshots / f"listen-{scheme}.png")
    found = Axe().run(on.page, context=".wb-listen", options=AXE)
    assert found.violations_count == 0, found.generate_report()
    wide = "document.querySelector('.wb-listen').scrollWidth"
    assert on.page.evaluate(wide) <= width
    on.panel.reset()
    on.run(0.1)
    found = Axe().run(on.page, context=".wb-listen", options=AXE)
    assert found.violations_count == 0, found.generate_report()


def test_closing_the_view_leaves_nothing_behind(stage):
    on = stage()
    finish(on)
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    assert on.page.locator(".wb-listen").count() == 0
