"""Models that hear, as a user meets them."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import soundfile
from tiny import GOLDENS

import workbench as wb
from workbench.audio import SampleRange
from workbench.errors import AudioError, PromptError, SettingError
from workbench.generation.events import Done, Status, Token
from workbench.tasks import transcription
from workbench.tasks.audio_to_text import compiled_samples

FOLDER = str(GOLDENS / "keras_hub" / "moonshine")
GOLDEN = dict(np.load(Path(FOLDER) / "golden.npz"))
ONE, TWO = GOLDEN["raw_audio"][0], GOLDEN["raw_audio"][1, :6500]


@pytest.fixture(scope="module")
def lm():
    return wb.models.AudioToText.from_preset(FOLDER, dtype="float32")


@pytest.fixture(scope="module")
def texts(lm):
    """What the two recordings say, each alone."""
    return [lm.generate({"audio": audio}, max_new_tokens=8) for audio in (ONE, TWO)]


def wav(samples):
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_every_way_to_give_a_recording(lm, texts, tmp_path):
    path = tmp_path / "one.wav"
    path.write_bytes(wav(ONE))
    given = (ONE, path, str(path), wav(ONE), io.BytesIO(wav(ONE)), ONE.tolist())
    for audio in given:
        assert lm.generate({"audio": audio}, max_new_tokens=8) == texts[0]
    for alone in (ONE, path, {"audio": ONE, "rate": 16_000}):
        assert lm.generate(alone, max_new_tokens=8) == texts[0]


def test_several_recordings_are_each_as_alone(lm, texts):
    assert lm.generate({"audio": [ONE, TWO]}, max_new_tokens=8) == texts
    batches = [{"audio": [ONE]}, {"audio": [TWO]}]
    assert lm.generate(batches, max_new_tokens=8) == texts


def test_the_beginning_of_the_text_can_be_given(lm):
    made = lm.generate({"audio": ONE, "text": "the"}, max_new_tokens=4)
    assert made.startswith("the")
    rest = lm.generate({"audio": ONE, "text": "the"}, max_new_tokens=4, strip_prompt=True)
    assert made == "the" + rest


def test_the_length_is_bounded_by_that_of_the_recording(lm):
    """A model that would repeat itself without end, as random weights do."""
    reader = lm.preprocessor
    assert reader.most_tokens(16_000 * 10) == 65
    assert reader.most_tokens(16_000) == 8
    events = list(lm.stream({"audio": ONE}, stop_token_ids=None))
    assert isinstance(events[-1], Done) and events[-1].reason == "length"
    assert sum(isinstance(event, Token) for event in events) == 8
    assert events[-1].stats.prompt_tokens == 1


def test_a_stream_says_what_generate_does(lm, texts):
    events = list(lm.stream({"audio": ONE}, max_new_tokens=8))
    assert "".join(e.text for e in events if isinstance(e, Token)) == texts[0]


def test_without_a_preprocessor_ids_are_taken(lm):
    bare = wb.models.AudioToText(lm.backbone)
    ids = np.array([[4, 0, 0, 0, 0]])
    inputs = {"decoder_token_ids": ids, "decoder_padding_mask": ids > 0}
    source = {
        "encoder_input_values": ONE[None, :, None],
        "encoder_padding_mask": np.ones((1, 8000), bool),
    }
    settings = {"stop_token_ids": None}
    made = bare.generate(source | inputs, **settings)["decoder_token_ids"]
    flat = {name: value[0] for name, value in (source | inputs).items()}
    np.testing.assert_array_equal(bare.generate(flat, **settings)["decoder_token_ids"], made[0])
    with pytest.raises(PromptError, match="expected encoder_input_values and"):
        bare.generate(inputs)
    with pytest.raises(PromptError, match="of the shapes"):
        bare.generate(source | inputs | {"encoder_padding_mask": np.ones((1, 7999), bool)})
    with pytest.raises(PromptError, match="recordings at the left"):
        mask = np.arange(8000)[None] > 10
        bare.generate(source | inputs | {"encoder_padding_mask": mask})
    with pytest.raises(SettingError, match="no preprocessor"):
        bare.transcribe(ONE)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"text": "a"}, PromptError, "expected audio"),
        ({"audio": ONE, "texts": "a"}, PromptError, "expected audio"),
        ({"audio": [ONE, TWO], "text": ["a"]}, PromptError, "as many texts as recordings"),
        ({"audio": ONE, "text": 3}, PromptError, "expected a string, got int"),
        ({"audio": np.zeros(10, "f4")}, AudioError, "at least"),
        ({"audio": "nothing.wav"}, AudioError, "found none"),
        ({"audio": np.full(8000, np.nan, "f4")}, AudioError, "finite"),
        ({"audio": np.zeros(16_000 * 65, "f4")}, AudioError, "transcribe"),
    ],
)
def test_what_cannot_be_heard(lm, inputs, error, message):
    with pytest.raises(error, match=message):
        lm.generate(inputs)


def test_lengths_that_are_compiled_for():
    assert [compiled_samples(n) for n in (1, 16_384, 16_385, 480_000, 1_024_000)] == [
        2**14,
        2**14,
        2**15,
        2**19,
        2**20,
    ]


def test_a_short_recording_is_transcribed_as_generated(lm):
    assert lm.transcribe(ONE) == lm.generate(ONE)
    turn = lm.transcription(wav(ONE))
    assert turn.seconds == 0.5 and len(turn.pieces) == 1


@pytest.fixture
def halves(monkeypatch):
    """Pieces of half a second, so that a long recording is short."""
    monkeypatch.setattr(
        transcription,
        "cut_at_pauses",
        lambda samples, rate: [
            SampleRange(0, 8000),
            SampleRange(8000, 14500),
            SampleRange(14500, len(samples)),
        ],
    )
    return np.concatenate([ONE, TWO, ONE])


def pieces_of(lm, *sounds):
    made = [list(lm.stream({"audio": sound})) for sound in sounds]
    return [events[-1].text for events in made], [len(events) for events in made]


def test_a_long_recording_is_the_texts_of_its_pieces(lm, halves):
    texts, _ = pieces_of(lm, ONE, TWO, ONE)
    turn = lm.transcription(halves)
    events = list(turn.stream())
    assert isinstance(events[-1], Done)
    assert sum(isinstance(event, Done) for event in events) == 1
    tokens = [event for event in events if isinstance(event, Token)]
    assert "".join(token.text for token in tokens) + events[-1].tail == events[-1].text
    assert events[-1].text.split() == " ".join(texts).split()
    assert events[-1].stats.new_tokens == len(tokens)
    assert [s.start_seconds for s in turn.segments] == [0, 0.5, 14500 / 16_000]
    assert [s.stop_seconds for s in turn.segments] == [0.5, 14500 / 16_000, len(halves) / 16_000]
    starts = [s.first_token for s in turn.segments]
    assert starts[0] == 0 and starts == sorted(starts)
    assert lm.transcribe(halves) == events[-1].text


def test_a_transcription_compiles_for_one_length(lm, halves):
    list(lm.transcription(halves).stream())
    events = list(lm.transcription(halves).stream())
    assert Status("compiling") not in events


def test_a_transcription_is_cancelled_between_steps(lm, halves):
    turn = lm.transcription(halves)
    job = wb.GenerationJob(lm, turn, on_event=lambda e: isinstance(e, Token) and job.cancel())
    job.run()
    assert job.status == "cancelled" and len(job.tokens) == 1 and len(turn.segments) == 1


def test_a_job_transcribes(lm, halves):
    job = wb.GenerationJob(lm, lm.transcription(halves))
    assert job.run() == lm.transcribe(halves)
    assert job.status == "done" and job.stats.prompt_tokens == 3


def test_the_whole_text_is_bounded(lm, halves):
    events = list(lm.transcription(halves).stream(max_new_tokens=10, stop_token_ids=None))
    assert events[-1].reason == "length" and events[-1].stats.new_tokens == 10


def test_training_on_recordings_and_texts():
    lm = wb.models.AudioToText.from_preset(FOLDER, dtype="float32")
    lm.preprocessor.decoder_sequence_length = 12
    data = {"audio": [ONE, TWO], "text": ["the fox", "earth"]}
    inputs, labels, weights = lm.preprocessor(data)
    assert inputs["encoder_input_values"].shape == (2, 8000, 1)
    assert inputs["encoder_padding_mask"].sum(axis=1).tolist() == [8000, 6500]
    ids = lm.preprocessor.tokenizer("the fox")
    start, end = (getattr(lm.preprocessor.tokenizer, f"{n}_token_id") for n in ("start", "end"))
    assert inputs["decoder_token_ids"][0, : len(ids) + 1].tolist() == [start, *ids]
    assert labels[0, : len(ids) + 1].tolist() == [*ids, end]
    assert weights[0].sum() == len(ids) + 1
    lm.backbone.enable_lora(2)
    lm.compile(optimizer=keras.optimizers.Adam(0.01))
    history = lm.fit(data, epochs=6, batch_size=2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    trained = [v for v in lm.backbone.trainable_variables]
    assert trained and all("lora" in v.path for v in trained)
    with pytest.raises(PromptError, match="expected audio and text"):
        lm.fit({"audio": [ONE]})


def test_every_weight_of_the_encoder_learns(lm):
    """No matrix is left without a gradient, the convolutions included."""
    backbone = lm.backbone
    inputs = lm.preprocessor({"audio": [ONE], "text": ["the fox"]}, sequence_length=8)[0]
    values = [v.value for v in backbone.trainable_variables]

    def loss(values):
        pairs = list(zip(backbone.trainable_variables, values, strict=True))
        with keras.StatelessScope(pairs):
            return jnp.mean(backbone(inputs)["decoder_sequence_output"] ** 3)

    grads = jax.jit(jax.grad(loss))(values)
    for variable, grad in zip(backbone.trainable_variables, grads, strict=True):
        assert np.abs(grad).max() > 0, variable.path


def test_the_layout_map_covers_every_matrix(lm):
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), devices=jax.devices())
    layout = wb.models.MoonshineBackbone.get_layout_map(mesh)
    for weight in lm.backbone.weights:
        if weight.ndim > 1:
            assert len(layout[weight.path].axes) == weight.ndim, weight.path


REAL = os.environ.get("WORKBENCH_MOONSHINE")


@pytest.mark.skipif(REAL is None, reason="WORKBENCH_MOONSHINE names no folder")
def test_the_trained_model_writes_what_its_reference_writes():
    """A folder with `moonshine-tiny`, `two_cities_10s.wav`, and what the reference made of it."""
    folder = Path(REAL)
    golden = json.loads((folder / "golden.json").read_text())["moonshine-tiny"][0]
    lm = wb.models.AudioToText.from_preset(str(folder / "moonshine-tiny"), dtype="float32")
    events = list(lm.stream({"audio": folder / golden["audio"]}))
    ids = [event.id for event in events if isinstance(event, Token)]
    assert ids == golden["greedy_ids"][1:]
    assert events[-1].text == golden["text"]
    assert lm.transcribe(folder / golden["audio"]) == golden["text"]
