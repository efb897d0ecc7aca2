"""The panel that opens for a model is the one for what it reads."""

import pytest
from audio_doubles import FakeHearingLM
from doubles import FakeChatLM, FakeLM
from picture_doubles import FakeLookLM
from preset_doubles import info
from workbench.widgets import GeneratePanel, ListenPanel, LookPanel
from workbench.widgets.browse.opening import open_panel

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.mark.parametrize(
    ("lm", "facts", "kind"),
    [
        (FakeLM, {}, GeneratePanel),
        (FakeLookLM, {"modality": "image+text"}, LookPanel),
        (FakeHearingLM, {"modality": "speech"}, ListenPanel),
        (FakeChatLM, {"modality": "image+text", "instruct": True}, GeneratePanel),
    ],
)
def test_a_panel_for_what_a_model_reads(lm, facts, kind):
    panel = open_panel(lm(), info("model", **facts))
    assert isinstance(panel, kind)
    panel.close()


def test_an_instruct_model_that_chats_opens_in_chat_mode():
    chats = open_panel(FakeChatLM(), info("chat", modality="image+text", instruct=True))
    assert chats.mode == "chat"
    chats.close()


def test_a_model_of_single_crops_opens_none():
    assert open_panel(FakeLM(), info("crops", modality="image")) is None
