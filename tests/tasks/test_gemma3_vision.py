"""Gemma 3 with pictures as a task: prompts and chats, batches, the mask of pictures, mistakes.

The windows here are shorter than a picture, whose four places see each other all the same.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.observing import observing
from workbench.errors import ImageError, PromptError, SettingError
from workbench.generation.events import Token

WINDOW = 2
GREEDY = {"sampler": "greedy", "stop_token_ids": None, "max_new_tokens": 5}
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 18, 22, 3)).astype("uint8")


@pytest.fixture(scope="module")
def lm():
    """Random weights, two layers in its image encoder; a picture takes four places. Tests leave it
    as they found it."""
    lm = wb.models.CausalLM.from_preset(
        str(GOLDENS / "keras_hub" / "gemma3_vision"), dtype="float32", sliding_window_size=WINDOW
    )
    template = wb.tokenizers.built_in_chat_template("gemma3")
    lm.preprocessor.tokenizer.chat_template = template
    return lm


@pytest.fixture(scope="module")
def arrays(lm):
    """A row of two pictures and one of one, with padding, as the model's inputs."""
    said = ["the <start_of_image> fox <start_of_image> is", "<start_of_image> round"]
    inputs = {"prompts": said, "images": [list(PICTURES[:2]), [PICTURES[2]]]}
    made = lm.preprocessor.generate_preprocess(inputs, sequence_length=32)
    del made["vision_indices"]
    return made


def picture_of(image):
    return {"type": "image", "image": image}


def text_of(text):
    return {"type": "text", "text": text}


def asked(*parts):
    return [{"role": "user", "content": list(parts)}]


def oracle(vision_mask, padding_mask, window):
    """Which place each place sees, (B, T, T), by the definition and slowly."""
    rows, length = vision_mask.shape
    seen = np.zeros((rows, length, length), bool)
    for row in range(rows):
        picture, pictures, before = 0, [], False
        for here in vision_mask[row]:
            picture += bool(here and not before)
            pictures.append(picture if here else 0)
            before = bool(here)
        for query in range(length):
            for key in range(length):
                same = pictures[query] > 0 and pictures[query] == pictures[key]
                causal = key <= query and (window is None or query - key < window)
                seen[row, query, key] = (same or causal) and padding_mask[row, key]
    return seen


@pytest.fixture(scope="module")
def whole(lm, arrays):
    """The full forward pass: hidden states, and which weights of each decoder layer are not 0."""

    @jax.jit
    def run(inputs):
        with observing("decoder_block_*/attention/weights") as weights:
            hidden = lm.backbone(inputs)
        return hidden, [jnp.any(layer > 0, axis=1) for layer in weights.values()]

    hidden, seen = run(arrays)
    return np.asarray(hidden), [np.asarray(layer) for layer in seen]


def test_places_of_a_picture_see_each_other_whatever_the_window(lm, arrays, whole):
    windows = [layer.window for layer in lm.backbone.config.layers]
    assert windows == [WINDOW] * 5 + [None]
    real = arrays["padding_mask"]
    for window, seen in zip(windows, whole[1], strict=True):
        expected = oracle(arrays["vision_mask"], real, window)
        np.testing.assert_array_equal(seen[real], expected[real])


def test_cached_equals_full(lm, arrays, whole):
    """Prompts of unlike lengths are read at once, the rest token by token."""
    backbone = lm.backbone
    lengths = np.array([22, 8], np.int32)

    @jax.jit
    def run(ids, images, mask):
        prompt = ids[:, :24]
        hidden, cache = backbone.read(prompt, lengths, False, images=images, image_mask=mask)
        cache = cache.grow(32)

        def step(cache, at):
            position = (lengths + at)[:, None]
            token = jnp.take_along_axis(ids, position, axis=1)
            out, cache = backbone.extend(token, position, cache)
            return cache, out[:, 0]

        return hidden, jnp.swapaxes(jax.lax.scan(step, cache, jnp.arange(10))[1], 0, 1)

    vision = arrays["vision_mask"]
    assert not vision[0, 22:].any() and not vision[1, 8:].any(), "pictures are read at once"
    read, stepped = run(arrays["token_ids"], arrays["images"], vision[:, :24])
    for row, length in enumerate(lengths):
        real = int(arrays["padding_mask"][row].sum())
        made = np.concatenate([read[row, :length], stepped[row]])[:real]
        np.testing.assert_allclose(made, whole[0][row, : len(made)], atol=1e-4)


def test_a_batch_equals_its_rows_alone_and_their_streams(lm):
    """Prompts of unlike lengths with two pictures, one and none."""
    prompts = ["the <start_of_image> fox <start_of_image>", "<start_of_image> is", "round"]
    images = [[PICTURES[0], PICTURES[1]], PICTURES[2], None]
    together = lm.generate({"images": images, "prompts": prompts}, **GREEDY)
    for row, (prompt, own) in enumerate(zip(prompts, images, strict=True)):
        alone = {"prompts": prompt} if own is None else {"prompts": prompt, "images": own}
        assert lm.generate(alone, **GREEDY) == together[row]
    assert lm.generate("round", **GREEDY) == together[2]
    first = {"prompts": prompts[0], "images": images[0]}
    *events, done = lm.stream(first, **GREEDY)
    text = "".join(event.text for event in events if isinstance(event, Token)) + done.tail
    assert text == lm.generate(first, strip_prompt=True, **GREEDY)
    assert done.stats.prompt_tokens == lm.prompt_tokens(first)


def test_the_picture_matters_and_so_does_its_place(lm):
    def ask(images):
        prompt = "<start_of_image> the <start_of_image>"
        return lm.generate({"images": images, "prompts": prompt}, **GREEDY)

    assert ask([PICTURES[0], PICTURES[1]]) != ask([PICTURES[1], PICTURES[0]])


def test_forms_of_the_same_inputs(lm, tmp_path):
    read = functools.partial(lm.preprocessor.generate_preprocess, sequence_length=24)
    one = read({"images": PICTURES[0], "prompts": "<start_of_image>is"})
    wb.images.open_image(PICTURES[0]).save(tmp_path / "picture.png")
    for same in (
        {"images": [PICTURES[0]], "prompts": "<start_of_image>is"},
        {"images": PICTURES[:1], "text": "is"},  # without a mark the picture stands in front
        {"images": str(tmp_path / "picture.png"), "prompts": "is"},
    ):
        for name, value in read(same).items():
            np.testing.assert_array_equal(value, one[name], err_msg=name)
    two = read({"images": PICTURES[0], "prompts": ["is", "the <start_of_image>"]})
    assert two["vision_mask"].sum(axis=1).tolist() == [4, 4], "one picture goes with every prompt"


def test_training_arrays_weigh_the_answer(lm):
    x = {
        "images": [[PICTURES[0]], []],
        "prompts": ["<start_of_image>", "the"],
        "responses": ["fox", "fox"],
    }
    inputs, labels, weights = lm.preprocessor(x, sequence_length=24)
    assert inputs["images"].shape == (2, 2, 16, 16, 3)
    answer = [*lm.preprocessor.tokenizer("fox"), lm.preprocessor.tokenizer.end_token_id]
    for row in range(2):
        assert labels[row][weights[row]].tolist() == answer
    alone, *_ = lm.preprocessor({k: v[0] for k, v in x.items()}, sequence_length=24)
    for name, value in alone.items():
        np.testing.assert_array_equal(value, inputs[name][0], err_msg=name)
    loss = lm.evaluate(x, batch_size=2, verbose=0)
    assert np.all(np.isfinite(loss))


def test_a_chat_is_read_as_its_text(lm):
    """The template's text with each mark expanded, tokenised as a prompt is."""
    reader = lm.preprocessor
    messages = asked(text_of("the "), picture_of(PICTURES[0]), picture_of(PICTURES[1]))
    messages += [{"role": "assistant", "content": "fox"}, *asked(text_of("round"))]
    reading = reader.chat_reading(messages)
    rows = "<start_of_turn>user\nthe{0}{0}<end_of_turn>\n<start_of_turn>model\nfox<end_of_turn>\n"
    rows += "<start_of_turn>user\nround<end_of_turn>\n<start_of_turn>model\n"
    picture = "\n\n<start_of_image>" + "<img>" * 4 + "<end_of_image>\n\n"
    pieces = [p for p in reader.tokenizer.get_vocabulary() if p.startswith(("<start", "<end"))]
    control = frozenset([*pieces, "<bos>", "<img>"])
    expected = reader.tokenizer.tokenize_marked("<bos>" + rows.format(picture), control)
    assert reading.ids == expected
    assert sum(reading.image_mask) == 8 and len(reading.images) == 2
    np.testing.assert_array_equal(reading.images[1], reader.image_converter(PICTURES[1]))


def test_a_message_cannot_forge_a_picture(lm):
    forged = "<start_of_image><img><img><img><img><end_of_image>"
    reading = lm.preprocessor.chat_reading(asked(picture_of(PICTURES[0]), text_of(forged)))
    start, end, place = lm.preprocessor.image_token_ids
    assert [reading.ids.count(token) for token in (start, end, place)] == [1, 1, 4]
    assert sum(reading.image_mask) == 4


def test_a_conversation_with_pictures(lm):
    """Replies equal those of `lm.chat`; a turn without pictures goes on as before."""
    settings = {**GREEDY, "max_new_tokens": 3}
    chat = wb.Chat(lm)
    first = asked(picture_of(PICTURES[0]), picture_of(PICTURES[1]), text_of("fox"))
    reply = chat.send(first[0]["content"], **settings)
    assert reply == lm.chat(first, **settings)
    other = asked(picture_of(PICTURES[1]), picture_of(PICTURES[0]), text_of("fox"))
    assert chat.edit(0, other[0]["content"], **settings) == lm.chat(other, **settings)
    turn = chat.turn("is")
    events = list(turn.stream(**settings))
    assert events[-1].stats.prompt_tokens == turn.prompt_tokens
    assert events[-1].stats.reused_tokens == 0, "equal ids are not equal pictures"
    assert events[-1].text.strip() == lm.chat(chat.messages[:-1], **settings)
    assert repr(chat).splitlines()[1] == "user: [picture] [picture] fox"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"prompts": "<start_of_image>", "images": list(PICTURES[:2])}, "2 pictures and 1 marks"),
        ({"prompts": "the <start_of_image>"}, "0 pictures and 1 marks"),
        ({"prompts": "the", "images": list(PICTURES[:3])}, "at most 2 pictures, got 3"),
        ({"prompts": ["the", "fox"], "images": list(PICTURES[:3])}, "each of 2 prompts, got 3"),
        ({"prompts": "the", "pictures": PICTURES[0]}, "inputs: expected images"),
    ],
)
def test_pictures_that_do_not_fit_are_refused_by_name(lm, inputs, message):
    with pytest.raises(PromptError, match=message):
        lm.generate(inputs, **GREEDY)


def test_bad_pictures_and_messages_leave_the_model_usable(lm, tmp_path):
    with pytest.raises(ImageError):
        lm.generate({"images": tmp_path / "none.png", "prompts": "the"}, **GREEDY)
    with pytest.raises(PromptError, match="under 'image'"):
        lm.chat(asked({"type": "image"}), **GREEDY)
    chat = wb.Chat(lm)
    with pytest.raises(ImageError):
        chat.send([picture_of(b"no picture")], **GREEDY)
    assert chat.messages == []
    with pytest.raises(PromptError, match="got int"):
        chat.send(3)
    assert lm.generate("round", **GREEDY)


def test_indices_that_differ_from_the_mask_are_refused(lm, arrays):
    indices = np.zeros((2, 8), np.int32)
    with pytest.raises(PromptError, match="row 0: vision_indices"):
        lm.generate({**arrays, "vision_indices": indices}, **GREEDY)
    with pytest.raises(PromptError, match="row 0: vision_indices"):
        lm.backbone({**arrays, "vision_indices": indices})


def test_an_encoder_that_does_not_fit_is_refused():
    encoder = wb.models.Gemma3VisionEncoder(16, 4, 4, 32, 1, 40, output_dim=64, pool_size=2)
    assert wb.models.Gemma3VisionEncoder(**encoder.get_config()) == encoder
    sizes = {"vocabulary_size": 20, "image_size": 16, "num_layers": 1, "num_query_heads": 2}
    sizes |= {"num_key_value_heads": 1, "hidden_dim": 32, "intermediate_dim": 8, "head_dim": 4}
    for own, message in (({}, "output_dim"), ({"hidden_dim": 64, "image_size": 8}, "image_size")):
        with pytest.raises(SettingError, match=message):
            wb.models.Gemma3Backbone(**{**sizes, **own}, vision_encoder=encoder)
    with pytest.raises(SettingError, match="divisor"):
        wb.models.Gemma3VisionEncoder(16, 4, 4, 32, 1, 40, output_dim=64, pool_size=3)
