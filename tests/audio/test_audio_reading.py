"""Recordings from files and arrays of every kind, and from hostile ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from workbench.audio import open_audio, reading
from workbench.errors import AudioError, SettingError

RATE = 16_000


def tone(hertz, seconds=1.0, rate=RATE, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def written(samples, rate=RATE, kind="WAV", **settings):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.05), ("MP3", 0.05)]
)
def test_files_of_every_kind(tmp_path, kind, tolerance):
    samples = tone(440)
    data = written(samples, kind=kind)
    path = tmp_path / f"tone.{kind.lower()}"
    path.write_bytes(data)
    for source in (data, path, str(path), io.BytesIO(data)):
        made = open_audio(source)
        assert made.dtype == np.float32 and made.ndim == 1
        assert abs(len(made) - len(samples)) <= 2304  # MP3 has whole frames
        middle = slice(4000, 12000)
        assert abs(loudness(made[middle]) - loudness(samples[middle])) < tolerance
        assert loudest_pitch(made[:16000], RATE) == pytest.approx(440, abs=2)


def loudness(samples):
    return float(np.sqrt(np.mean(samples**2)))


def loudest_pitch(samples, rate):
    return np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "PCM_U8"])
def test_integers_in_files_are_scaled(subtype):
    samples = tone(300)
    made = open_audio(written(samples, subtype=subtype))
    np.testing.assert_allclose(made, samples, atol=0.01 if subtype == "PCM_U8" else 1e-4)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int8"])
def test_integers_in_arrays_are_scaled(dtype):
    half = 2.0 ** (np.iinfo(dtype).bits - 1)
    samples = tone(300)
    made = open_audio((samples * (half - 1)).astype(dtype))
    np.testing.assert_allclose(made, samples, atol=1.5 / half + 1e-6)


def test_bytes_without_a_sign_are_silent_at_128():
    assert np.abs(open_audio(np.full(RATE, 128, "uint8"))).max() == 0


def test_channels_are_averaged():
    left, right = tone(300), tone(500)
    both = np.stack([left, right], axis=1)
    mean = (left + right) / 2
    np.testing.assert_allclose(open_audio(both), mean, atol=1e-6)
    np.testing.assert_allclose(open_audio(both.T), mean, atol=1e-6)
    np.testing.assert_allclose(open_audio(written(both, subtype="FLOAT")), mean, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_tone_below_the_new_limit_keeps_its_level_and_place(rate):
    """Sample by sample it is the tone as it would have been recorded."""
    made = open_audio(tone(1_000, rate=rate), rate=rate)
    wanted = tone(1_000)
    assert abs(len(made) - RATE) <= 2
    middle = slice(1_000, 15_000)
    np.testing.assert_allclose(made[middle], wanted[middle], atol=0.005)


@pytest.mark.parametrize(("rate", "hertz"), [(48_000, 12_000), (44_100, 10_000), (96_000, 30_000)])
def test_a_tone_above_the_new_limit_disappears(rate, hertz):
    """Without a filter it would come back as another tone, as loud."""
    made = open_audio(tone(hertz, rate=rate), rate=rate)
    assert loudness(made[1_000:15_000]) < 0.001
    assert loudness(tone(hertz, rate=rate)) > 0.3


def test_a_file_is_converted_by_its_own_rate():
    made = open_audio(written(tone(1_000, rate=44_100), 44_100))
    np.testing.assert_allclose(made[1000:15000], tone(1_000)[1000:15000], atol=0.005)
    with pytest.raises(AudioError, match="rate: expected 44100"):
        open_audio(written(tone(1_000, rate=44_100), 44_100), rate=16_000)


def test_another_sampling_rate():
    assert len(open_audio(tone(440), sampling_rate=8_000, rate=RATE)) == 8_000


def test_a_list_of_numbers():
    assert open_audio([0.25] * 3200).shape == (3200,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"\x00" * 1000,
        b"not a recording at all" * 100,
        written(tone(440))[:30],
        b"fLaC" + b"\xff" * 500,
        b"OggS" + b"\x00" * 500,
        b"ID3" + b"\xfe" * 500,
    ],
)
def test_files_that_are_no_recordings(data):
    with pytest.raises(AudioError):
        open_audio(data)


def test_every_cut_and_damage_of_a_file_is_read_or_refused():
    whole = written(tone(440, 0.3), kind="FLAC")
    noise = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole[: noise.integers(1, len(whole) + 1)])
        for at in noise.integers(0, len(data), 4):
            data[at] = noise.integers(0, 256)
        try:
            made = open_audio(bytes(data))
        except AudioError:
            continue
        assert made.dtype == np.float32 and np.isfinite(made).all()


def test_a_header_that_promises_too_much_is_refused_before_decoding(monkeypatch):
    """A file of a megabyte that holds hours of silence."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format="FLAC") as out:
        for _ in range(8):
            out.write(np.zeros(8_000 * 500, "int16"))
    read = []
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *a, **k: read.append(a))
    with pytest.raises(AudioError, match="at most 3600 seconds, got 4000 seconds"):
        open_audio(file.getvalue())
    assert not read


def test_a_header_of_a_wav_file_that_lies_about_its_length():
    data = bytearray(written(tone(440, 0.5)))
    data[40:44] = (2**31 - 2).to_bytes(4, "little")  # of the samples
    data[4:8] = (2**31 + 34).to_bytes(4, "little")
    try:
        assert len(open_audio(bytes(data))) <= 8_000
    except AudioError as error:
        assert "seconds" in str(error)


def test_more_samples_than_memory_is_given_to(monkeypatch):
    monkeypatch.setattr(reading, "MOST_SAMPLES", 1_000)
    with pytest.raises(AudioError, match="at most 1000 samples"):
        open_audio(written(tone(440)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value):
    samples = tone(440)
    samples[77] = value
    for source in (samples, written(samples, subtype="FLOAT"), samples.astype("f8")):
        with pytest.raises(AudioError, match="finite"):
            open_audio(source)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, "f4"), "at least 0.1 seconds"),
        (np.zeros(1599, "f4"), "at least 0.1 seconds, got 0.0999 seconds"),
        (np.zeros((3, 4, 5), "f4"), "samples of shape"),
        (np.zeros(1600, "complex64"), "samples of shape"),
        (np.array(["a"] * 1600), "samples of shape"),
        (np.zeros(1600, bool), "samples of shape"),
        (None, "samples of shape"),
        ({"a": 1}, "samples of shape"),
        (np.zeros((1600, 1600), "f4"), "1 to 64 channels"),
        ([[1.0], [1.0, 2.0]], "an array of samples"),
    ],
)
def test_arrays_that_are_no_recordings(samples, message):
    with pytest.raises(AudioError, match=message):
        open_audio(samples)


def test_long_arrays_are_refused(monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_SECONDS", 2.0)
    with pytest.raises(AudioError, match="at most 2 seconds"):
        open_audio(np.zeros(RATE * 3, "f4"))


def test_a_missing_file(tmp_path):
    with pytest.raises(AudioError, match="expected a file, found none"):
        open_audio(tmp_path / "nothing.wav")
    with pytest.raises(AudioError, match="expected a file, found none"):
        open_audio(tmp_path)


@pytest.mark.parametrize("rate", [0, -1, 16_000.0, True, "16000", 10**9])
def test_rates_that_are_impossible(rate):
    with pytest.raises(SettingError, match="samples a second"):
        open_audio(tone(440), rate=rate)
    with pytest.raises(SettingError, match="samples a second"):
        open_audio(tone(440), sampling_rate=rate)


@pytest.mark.parametrize("path", ["a\0.wav", "a\ud800.wav", "x" * 5000, "~nobody/x.wav"])
def test_paths_that_cannot_be(path):
    with pytest.raises(AudioError, match="expected a file, found none") as caught:
        open_audio(path)
    assert str(caught.value).isascii()


def test_bytes_with_gaps():
    with pytest.raises(AudioError, match="cannot be read"):
        open_audio(memoryview(bytes(160))[::2])
