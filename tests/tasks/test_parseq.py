"""Reading words in pictures: what goes in, orders of reading, refinement, training."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from PIL import Image
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.parseq_orders import cloze_masks, order_masks, training_orders
from workbench.errors import ImageError, PromptError, SettingError
from workbench.generation.events import Done, Token

FOLDER = GOLDENS / "keras_hub" / "parseq"
END, START = 0, 95
SIZE = (16, 32, 3)


@pytest.fixture(scope="module")
def lm():
    """Tests leave it as they found it."""
    return wb.models.PARSeqCausalLM.from_preset(str(FOLDER), dtype="float32")


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (20, 40, 3), np.uint8) for _ in range(3)]


def fresh(**settings):
    """A small random model of the digits, four places and two layers on each side."""
    keras.utils.set_random_seed(1)
    vit = wb.models.ViTBackbone((8, 16, 3), 4, 2, 2, 16, 24)
    tokenizer = wb.models.PARSeqTokenizer("0123456789", max_label_length=4)
    backbone = wb.models.PARSeqBackbone(vit, 13, 4, 16, 2, 2, 24, dropout_rate=0.0, dtype="float32")
    converter = wb.models.PARSeqImageConverter((8, 16), 1 / 127.5, -1.0, crop_to_aspect_ratio=False)
    preprocessor = wb.models.PARSeqCausalLMPreprocessor(converter, tokenizer, sequence_length=4)
    return wb.models.PARSeqCausalLM(backbone, preprocessor, seed=1, **settings)


def test_a_picture_may_come_in_many_forms(lm, pictures, tmp_path):
    picture = pictures[0]
    text = lm.generate(picture)
    Image.fromarray(picture).save(tmp_path / "sign.png")
    path = tmp_path / "sign.png"
    for form in (Image.fromarray(picture), path, str(path), path.read_bytes()):
        assert lm.generate(form) == text
        assert lm.generate({"images": form}) == text
    with path.open("rb") as file:
        assert lm.generate(file) == text


def test_a_batch_gives_what_each_picture_gives_alone(lm, pictures):
    alone = [lm.generate(picture) for picture in pictures]
    assert len(set(alone)) > 1  # what is in the picture matters
    assert lm.generate(pictures) == alone
    assert lm.generate({"images": np.stack(pictures)}) == alone
    assert lm.generate(iter([pictures[:2], pictures[2:]])) == alone
    assert lm.generate([pictures[0]]) == alone[:1]
    assert lm.generate([]) == []


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ("no such file.png", ImageError, "no such file"),
        (b"not a picture", ImageError, "image"),
        ([np.zeros((4, 4, 7))], ImageError, "4, 4, 7"),
        (3, ImageError, "int"),
        ({"images": []}, None, ""),
        ({"picture": np.zeros(SIZE)}, PromptError, "expected images, got"),
        ({"images": np.zeros(SIZE), "prompts": "read"}, PromptError, "expected images, got"),
    ],
)
def test_bad_pictures_are_named(lm, inputs, error, message):
    if error is None:
        assert lm.generate(inputs) == []
        return
    with pytest.raises(error, match=message):
        lm.generate(inputs)


def test_arrays_of_another_size_are_named(lm):
    ids = np.array([[START, 0]])
    arrays = {"token_ids": ids, "padding_mask": ids > 0}
    with pytest.raises(PromptError, match=r"images: expected shape \(1, 16, 32, 3\), got \(0,\)"):
        lm.generate(arrays)
    with pytest.raises(PromptError, match="got"):
        lm.generate({**arrays, "images": np.zeros((1, 8, 8, 3))})


@pytest.mark.parametrize("refinements", [0, 1, 3])
def test_a_stream_says_what_generate_says(lm, pictures, refinements):
    events = list(lm.stream(pictures, refinements=refinements))
    for row, text in enumerate(lm.generate(pictures, refinements=refinements)):
        own = [event for event in events if getattr(event, "row", None) == row]
        assert "".join(e.text for e in own if isinstance(e, Token)) + own[-1].tail == text
        assert isinstance(own[-1], Done)
        assert [len(e.alternatives) for e in own[:-1]] == [5] * (len(own) - 1)


def test_a_job_reads_a_picture(lm, pictures):
    job = wb.GenerationJob(lm, {"images": pictures[0]})
    assert job.run() == lm.generate(pictures[0])
    assert (job.status, job.stats.prompt_tokens) == ("done", 1)


def test_samplers_work_through_the_engine(lm, pictures):
    drawn = [lm.generate(pictures, sampler="top_k", seed=s) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    beams = lm.generate(pictures[:2], sampler="beam", stop_token_ids=None)
    assert beams == [lm.generate(p, sampler="beam", stop_token_ids=None) for p in pictures[:2]]


def test_only_the_greedy_sampler_refines_by_itself(lm, pictures):
    plain, refined = (lm.generate(pictures, refinements=n) for n in (0, 1))
    assert plain != refined  # of a random model
    assert lm.generate(pictures) == refined
    drawn = {"sampler": "top_p", "seed": 1}
    assert lm.generate(pictures, **drawn) == lm.generate(pictures, refinements=0, **drawn)


@pytest.mark.parametrize("refinements", [-1, 1.5, True, "1", 33])
def test_impossible_refinements_are_refused(lm, pictures, refinements):
    with pytest.raises(SettingError, match="refinements: expected None or an integer from 0 to 32"):
        lm.generate(pictures[0], refinements=refinements)


def slow_refinement(lm, image, ids, length):
    """The paper's refinement of one text, place by place: each is read with all others in view
    and itself out of sight."""
    decoder, backbone = lm.backbone.decoder, lm.backbone

    @jax.jit
    def read(padded, query, content):
        memory = decoder.remember(backbone.encode(image[None]))
        return backbone.logits(decoder.run(padded, memory, query, content))[0]

    tokens = list(ids)
    end = tokens.index(END) if END in tokens else len(tokens)
    real = np.arange(length) < end
    padded = np.array([tokens + [END] * (length - len(tokens))], np.int32)
    causal = np.tril(np.ones((length, length), bool))
    made = []
    for place in range(1, length):
        visible = real.copy()
        visible[place] = False
        logits = read(padded, np.broadcast_to(visible, causal.shape), causal & real)
        made.append(int(np.argmax(logits[place - 1])))
    return made[: made.index(END) + 1] if END in made else made


def test_refinement_is_the_papers(lm, pictures):
    image = lm.preprocessor.convert(pictures[:1])[0]
    mask = np.arange(10)[None] < 1
    inputs = {"images": image[None], "token_ids": np.where(mask, START, 0), "padding_mask": mask}
    first, again = (lm.generate(inputs, refinements=n) for n in (0, 1))
    written, refined = (
        out["token_ids"][0][out["padding_mask"][0]].tolist() for out in (first, again)
    )
    assert refined[1:] == slow_refinement(lm, image, written, 10)


def test_a_prompt_stays_as_it_is(lm, pictures):
    image = lm.preprocessor.convert(pictures[:1])
    ids = np.array([[START, 30, 31, 0, 0, 0]])
    inputs = {"images": image, "token_ids": ids, "padding_mask": ids > 0}
    for refinements in (0, 2):
        out = lm.generate(inputs, refinements=refinements)
        assert out["token_ids"][0, :3].tolist() == [START, 30, 31]


def orders(count=6, characters=5, seed=1, **settings):
    return np.asarray(training_orders(jax.random.key(seed), characters, count, **settings))


def test_orders_are_permutations_between_start_and_end():
    drawn = orders()
    assert drawn.shape == (6, 7)
    for order in drawn:
        assert sorted(order.tolist()) == list(range(7))
        assert order[0] == 0
    assert drawn[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert drawn[1].tolist() == [0, 6, 5, 4, 3, 2, 1]  # right to left begins with the end
    for order, mirror in (drawn[2:4], drawn[4:6]):
        assert order[-1] == mirror[-1] == 6
        assert order[1:-1].tolist() == mirror[1:-1][::-1].tolist()
    assert not np.array_equal(orders(seed=2), drawn)


def test_orders_as_they_are_asked_for():
    assert orders(3, mirrored=False).shape == (3, 7)
    assert orders(1, mirrored=False).tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    assert orders(1).shape == (2, 7)
    assert orders(characters=1).tolist() == [[0, 1, 2]]
    unlike = orders(4, forward=False)
    assert unlike[0].tolist() != [0, 1, 2, 3, 4, 5, 6]


def slow_masks(order):
    """What each place may see, by walking along the order."""
    size = len(order)
    query, content = (np.zeros((size, size), bool) for _ in range(2))
    for step, token in enumerate(order):
        for earlier in order[:step]:
            query[token, earlier] = content[token, earlier] = True
        content[token, token] = True
    return query[1:, :-1], content[:-1, :-1]


def test_the_masks_of_orders():
    for order in [*orders(8), *map(np.array, itertools.permutations(range(1, 4)))]:
        order = order if order[0] == 0 else np.array([0, *order, 4])
        for mask, slow in zip(order_masks(jnp.asarray(order)), slow_masks(order), strict=True):
            np.testing.assert_array_equal(mask, slow)


def test_the_masks_of_refinement():
    query, content = map(np.asarray, cloze_masks(4))
    for place, other in itertools.product(range(4), repeat=2):
        assert query[place, other] == (other != place + 1)
        assert content[place, other] == (other <= place)


def drawn_digits(count, seed=1):
    """Pictures in which the columns tell the digits, and their texts."""
    random = np.random.default_rng(seed)
    texts = ["".join(map(str, random.integers(0, 10, random.integers(1, 4)))) for _ in range(count)]
    images = np.zeros((count, 8, 16, 3), np.uint8)
    for image, text in zip(images, texts, strict=True):
        for place, digit in enumerate(text):
            image[:, 4 * place : 4 * place + 4] = 25 * int(digit)
    return {"images": list(images), "responses": texts}


def test_the_loss_is_the_mean_over_orders():
    lm = fresh(num_perms=4)
    x, y, weight = lm.preprocessor(drawn_digits(3))
    loss = float(lm.compute_loss(x, y, None, weight, training=True))
    lm._orders_seed.state.assign(keras.random.SeedGenerator(1).state)
    key = lm._orders_seed.next()
    memory = lm.backbone.encode(x["images"])
    losses = []
    for number, order in enumerate(np.asarray(training_orders(key, 3, 4))):
        logits = lm._logits_in(jnp.asarray(order), x, memory)
        logprobs = np.asarray(jax.nn.log_softmax(logits, axis=-1))
        total = 0.0
        for row, column in np.ndindex(y.shape):
            counted = weight[row, column] and (number < 2 or y[row, column] != END)
            total -= logprobs[row, column, y[row, column]] if counted else 0.0
        losses.append(total / y.size)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)


def test_one_order_is_left_to_right():
    lm = fresh(num_perms=1, add_mirrored_perms=False)
    x, y, weight = lm.preprocessor(drawn_digits(3))
    plain = lm.compute_loss(x, y, lm(x), weight, training=False)
    np.testing.assert_allclose(lm.compute_loss(x, y, None, weight), plain, rtol=1e-5)


def test_training_learns_to_read():
    lm = fresh()
    lm.compile(optimizer=keras.optimizers.Adam(0.01))
    data = drawn_digits(32)
    history = lm.fit(data, batch_size=32, epochs=80, verbose=0).history["loss"]
    assert history[-1] < 0.3 * history[0]
    made = lm.generate(data["images"])
    right = sum(text == wanted for text, wanted in zip(made, data["responses"], strict=True))
    assert right >= 24
    assert lm.evaluate(data, verbose=0)[0] < history[0]


def test_text_is_another_name_of_responses():
    lm = fresh()
    data = drawn_digits(2)
    arrays = lm.preprocess(data)
    again = lm.preprocess({"images": data["images"], "text": data["responses"]})
    jax.tree.map(np.testing.assert_array_equal, arrays, again)
    one = lm.preprocess({"images": data["images"][0], "responses": data["responses"][0]})
    np.testing.assert_array_equal(one[0]["token_ids"], arrays[0]["token_ids"][0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"images": []}, "expected images and one of"),
        ({"images": [], "responses": [], "text": []}, "expected images and one of"),
        ({"images": np.zeros((2, 8, 16, 3)), "responses": ["1"]}, "each of 2 pictures, got 1"),
        (["1"], "got list"),
    ],
)
def test_what_cannot_be_trained_on_is_named(x, message):
    with pytest.raises(PromptError, match=message):
        fresh().preprocessor(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_class_token": True}, "use_class_token: expected False"),
        ({"use_patch_bias": False}, "use_patch_bias: expected True"),
        ({"image_shape": (8, 16, 1)}, r"\(height, width, 3\)"),
        ({"patch_size": 5}, "patch size 5"),
        ({"num_heads": 3}, "num_heads|multiple|divisor"),
    ],
)
def test_impossible_image_encoders_are_refused(change, message):
    arguments = {
        "image_shape": (8, 16, 3),
        "patch_size": 4,
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 16,
        "mlp_dim": 16,
    }
    with pytest.raises(SettingError, match=message):
        wb.models.ViTBackbone(**arguments | change)


def test_impossible_settings_are_refused(lm):
    with pytest.raises(SettingError, match="num_perms: expected an integer of at least 1, got 0"):
        wb.models.PARSeqCausalLM(lm.backbone, None, num_perms=0)
    with pytest.raises(SettingError, match="image_encoder: expected a ViTBackbone"):
        wb.models.PARSeqBackbone("vit", 13, 4, 16, 1, 2, 24)
    with pytest.raises(SettingError, match="unknown arguments"):
        wb.models.PARSeqBackbone({}, 13, 4, 16, 1, 2, 24, heads=3)


def test_the_tokenizer_reads_as_the_paper():
    tokenizer = wb.models.PARSeqTokenizer()
    assert tokenizer.vocabulary_size() == 97
    assert [tokenizer.token_to_id(token) for token in ("[E]", "0", "a", "A", "[B]", "[P]")] == [
        0,
        1,
        11,
        37,
        95,
        96,
    ]
    assert tokenizer.detokenize(tokenizer("Caf\u00e9  No. 5")) == "CafeNo.5"
    assert len(tokenizer("a" * 40)) == 25
    lower = wb.models.PARSeqTokenizer("0123456789abcdefghijklmnopqrstuvwxyz")
    assert lower.detokenize(lower("No. 5!")) == "no5"
    assert lower.stop_token_ids == (0,)


@pytest.mark.parametrize("vocabulary", [["ab"], "aa", [], [1]])
def test_impossible_vocabularies_are_refused(vocabulary):
    with pytest.raises(ValueError, match="vocabulary"):
        wb.models.PARSeqTokenizer(vocabulary)
