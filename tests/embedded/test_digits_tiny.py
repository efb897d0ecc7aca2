"""The embedded listener hears voices it never heard, and is no larger than its card says."""

import pytest

import workbench as wb
from workbench.presets.catalog import EMBEDDED, find
from workbench.recipes.digits.evaluate import recordings
from workbench.toy_data.digits.generator import RATE

MOST_BYTES = 4_000_000
COUNT = 20


@pytest.fixture(scope="module")
def lm():
    return wb.models.AudioToText.from_preset("digits_tiny", dtype="float32")


def test_it_is_listed_and_small(lm):
    info = find("digits_tiny")
    assert info.modality == "speech" and info.embedded and info.supported and info.encoder
    assert info.parameters == lm.backbone.count_params()
    files = (EMBEDDED / "digits_tiny").rglob("*")
    assert sum(file.stat().st_size for file in files if file.is_file()) < MOST_BYTES


def test_it_hears_voices_it_never_heard(lm):
    # Its card says 97 %; of 20 that leaves room for chance.
    spoken = recordings(0.5, seed=11, count=COUNT)
    heard = [lm.transcribe(recording.samples, RATE) for recording in spoken]
    right = sum(text == recording.text for text, recording in zip(heard, spoken, strict=True))
    assert right >= 0.8 * COUNT
