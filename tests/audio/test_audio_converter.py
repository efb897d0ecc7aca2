"""Recordings as the arrays an encoder reads."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.audio import AudioConverter
from workbench.errors import AudioError, SettingError


def test_a_batch_is_padded_and_masked():
    converter = AudioConverter(padding_value=-1.0)
    values, mask = converter.batch([np.ones(3, "f4"), np.zeros(5, "f4")])
    assert values.shape == (2, 5, 1) and values.dtype == np.float32
    assert mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert values[0, :, 0].tolist() == [1, 1, 1, -1, -1]
    values, mask = converter.batch([np.ones(3, "f4")], 8)
    assert values.shape == (1, 8, 1) and mask.sum() == 3


def test_normalising_is_of_each_recording():
    samples = np.random.default_rng(0).normal(3, 5, 4000).astype("f4")
    made = AudioConverter(do_normalize=True)(samples)
    assert abs(made.mean()) < 1e-5 and abs(made.std() - 1) < 1e-4
    np.testing.assert_array_equal(AudioConverter()(samples), samples)


def test_another_rate_is_converted():
    assert AudioConverter()(np.zeros(8_000, "f4"), rate=8_000).shape == (16_000,)
    assert AudioConverter(sampling_rate=8_000)(np.zeros(8_000, "f4")).shape == (8_000,)


def test_recordings_that_are_too_long_or_short():
    with pytest.raises(AudioError, match=r"0\.1 to 64 seconds, got 64\.1 seconds: transcribe"):
        AudioConverter()(np.zeros(16_000 * 64 + 1_600, "f4"))
    with pytest.raises(AudioError, match=r"at least 0\.1 seconds"):
        AudioConverter()(np.zeros(100, "f4"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_rate", 0),
        ("sampling_rate", "16000"),
        ("padding_value", np.nan),
        ("padding_value", None),
        ("do_normalize", 1),
    ],
)
def test_impossible_settings(name, value):
    with pytest.raises(SettingError, match=name):
        AudioConverter(**{name: value})


def test_its_settings_make_it_again():
    converter = AudioConverter(8_000, 0.5, True)
    assert AudioConverter(**converter.get_config()).get_config() == converter.get_config()
    assert "sampling_rate=8000" in repr(converter)
