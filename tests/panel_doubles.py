"""Every kind of panel, ready to be made: what holds of all of them is tested over these."""

from audio_doubles import RATE, FakeHearingLM, bursts
from compare_doubles import ComparedLM
from doubles import FakeChatLM, FakeLM
from inspect_doubles import FakeInspectLM
from picture_doubles import FakeLookLM, shapes_picture
from preset_doubles import info
from tune_doubles import STORIES
from workbench.widgets import (
    BrowsePanel,
    ComparePanel,
    GeneratePanel,
    InspectPanel,
    ListenPanel,
    LookPanel,
    TunePanel,
)

TEXT = "once upon a time there was"


def start(panel):
    panel.start()


def all_panels(lm):
    """How each kind of panel is made, over models that outlive it, and how it is set to work.

    `lm` is a real one, small. Loads and trainings are those of `Hub` and `FakeTrainingJob`, which
    the test puts in their places.
    """
    slow = {"delay": 0.0005, "stop_at": 12}
    plain, chat, look = FakeLM(**slow), FakeChatLM(**slow), FakeLookLM(delay=0.0005)
    heard, compared, inside = FakeHearingLM(**slow), ComparedLM(**slow), FakeInspectLM()
    picture, sound = shapes_picture(64, 48), (bursts(2.0), RATE)
    short = [story[:30] for story in STORIES[:4]]
    presets = (info("stories_tiny_en", 2_754_816, embedded=True),)
    return {
        "generate": (lambda: GeneratePanel(plain, "Once"), start),
        "generate, a real model": (lambda: GeneratePanel(lm, "Once", max_new_tokens=4), start),
        "chat": (lambda: GeneratePanel(chat, chat=True), lambda panel: panel.send("Hello")),
        "look": (lambda: LookPanel(look, picture, "detect circle"), start),
        "listen": (lambda: ListenPanel(heard, sound), start),
        "browse": (lambda: BrowsePanel(presets), lambda panel: panel.load("stories_tiny_en")),
        "tune": (lambda: TunePanel(lm, short, steps=6, sample_prompts=["A"]), start),
        "inspect": (lambda: InspectPanel(inside), lambda panel: panel.read(TEXT)),
        "compare": (
            lambda: ComparePanel(compared, adapters=["pirate", None], prompts=[TEXT]),
            start,
        ),
    }
