"""LookPanel without a page: pictures in and out, regions, attention, and hostile pages."""

import gc
import io
import random
import threading
import time
import weakref

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from patience import HANG, SLOW, until
from picture_doubles import GRID, FakeLookLM, shapes_picture
from PIL import Image
from workbench.widgets import LookPanel, look
from workbench.widgets.look import pictures
from workbench.widgets.look.runs import bounded

from workbench.errors import (
    ImageError,
    MemoryTooSmallError,
    PromptError,
    SettingError,
    WorkbenchError,
)
from workbench.images import ImageConverter, MaskDecoder
from workbench.images.drawing import COLOURS
from workbench.images.masks import mask_decoder_shapes
from workbench.jobs import generation as jobs

PROMPT = "detect red circle ; blue square"
CIRCLE = (102 / 1024, 154 / 1024, 461 / 1024, 512 / 1024)

pytestmark = pytest.mark.usefixtures("kernel")


def panel_of(lm=None, image=..., prompt=PROMPT, **options):
    image = shapes_picture() if image is ... else image
    return LookPanel(lm or FakeLookLM(), image, prompt, **options)


def asked(*args, **options):
    panel = panel_of(*args, **options)
    panel.start()
    assert panel.wait(HANG)
    return panel


def file_of(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def say(panel, data, buffers=()):
    panel.comm.handle_msg({"content": {"data": data}, "buffers": list(buffers)})


def command(panel, name, buffers=(), /, **arguments):
    say(panel, {"method": "custom", "content": {"command": name, **arguments}}, buffers)


def upload(panel, content, name="shapes.png", size=2**20):
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    for part, piece in enumerate(parts):
        command(panel, "picture", [memoryview(piece)], name=name, part=part, parts=len(parts))


def customs(panel, kind):
    return [
        (data["content"], data.get("buffers", []))
        for _, _, data in panel.comm.drain()
        if data.get("method") == "custom" and data["content"]["type"] == kind
    ]


# -- driven from Python ---------------------------------------------------------------------


def test_a_panel_is_driven_like_a_job():
    panel = look(FakeLookLM(), shapes_picture(), PROMPT)
    assert panel.status == "idle" and panel.text == "" and panel.regions == []
    panel.start()
    assert panel.wait(HANG) and panel.status == "done"
    assert panel.text.endswith("blue square") and panel.text.count("<loc") == 8
    assert [region.label for region in panel.regions] == ["red circle", "blue square"]
    assert panel.regions[0].box == CIRCLE
    [picture] = panel.lm.pictures
    assert picture is panel.image and picture.size == (320, 240)
    assert panel.history[0].settings["sampler"] == "greedy"
    assert panel.output["summary"].endswith("stop: end token")


@pytest.mark.parametrize("kind", ["path", "bytes", "array", "image"])
def test_a_picture_is_whatever_can_be_opened(kind, tmp_path):
    image = shapes_picture()
    path = tmp_path / "shapes.png"
    image.save(path)
    sources = {
        "path": path,
        "bytes": path.read_bytes(),
        "array": np.asarray(image),
        "image": image,
    }
    panel = panel_of(image=None)
    panel.image = sources[kind]
    assert np.array_equal(np.asarray(panel.image), np.asarray(image))
    shown = panel.picture
    assert (shown["width"], shown["height"], shown["type"]) == (320, 240, "image/png")
    assert shown["name"] == ("shapes.png" if kind == "path" else "picture")
    assert Image.open(io.BytesIO(shown["data"])).size == (320, 240)


def test_a_large_photograph_reaches_the_page_small():
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2400, 3), "uint8")
    panel = panel_of(image=noise)
    assert panel.image.size == (2400, 1500)
    assert panel.picture["type"] == "image/jpeg"
    assert Image.open(io.BytesIO(panel.picture["data"])).size == (1024, 640)
    assert (panel.picture["width"], panel.picture["height"]) == (2400, 1500)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        panel_of(image=b"no picture")
    panel = panel_of()
    before = panel.image
    with pytest.raises(ImageError):
        panel.image = "nowhere.png"
    assert panel.image is before


def test_without_a_picture_there_is_nothing_to_ask():
    panel = panel_of(image=None)
    assert panel.image is None and panel.picture == {}
    for action in (panel.start, panel.annotated, panel.attention):
        with pytest.raises(PromptError):
            action()


def test_a_model_that_reads_no_pictures_is_refused():
    from doubles import FakeLM

    widgets = len(_instances)

    class Reader:
        def converter(self, name):
            return None

    lm = FakeLM()
    lm.preprocessor = Reader()
    with pytest.raises(SettingError, match="reads no pictures"):
        look(lm)
    assert len(_instances) == widgets


def test_another_picture_takes_the_answer_from_the_page_and_history_brings_it_back():
    panel = asked()
    first = panel.image
    panel.image = shapes_picture(64, 64)
    assert panel.text == "" and panel.output == {} and panel.status == "idle"
    panel.prompt = "caption en"
    panel.start()
    panel.wait(HANG)
    assert panel.text == "a red circle above a blue square" and panel.regions == []
    panel.restore(1)
    assert panel.image is first and panel.prompt == PROMPT and len(panel.regions) == 2
    assert panel.output["picture"] == panel.picture["number"] == 1
    panel.restore(2)
    assert panel.image.size == (64, 64) and panel.picture["number"] == 2


def test_a_picture_does_not_change_under_a_run():
    panel = panel_of(FakeLookLM(hold_at=4))
    panel.start()
    with pytest.raises(WorkbenchError, match="generating"):
        panel.image = shapes_picture()
    upload(panel, file_of(shapes_picture()))
    assert "generating" in panel.error["message"]
    panel.cancel()
    panel.lm.pace.allow()
    assert panel.wait(HANG) and panel.status == "stopped"


def test_reset_goes_back_to_the_beginning():
    panel = asked(max_new_tokens=40)
    panel.sampler = "top_p"
    panel.reset()
    assert panel.image is None and panel.history == [] and panel.runs == []
    assert panel.sampler == "greedy" and panel.max_new_tokens == 40 and panel.output == {}


def test_the_annotated_picture_has_the_answer_drawn_on_it():
    panel = panel_of()
    assert np.array_equal(np.asarray(panel.annotated()), np.asarray(panel.image))
    panel.start()
    panel.wait(HANG)
    drawn = np.asarray(panel.annotated().resize(panel.image.size, 0))
    changed = (drawn != np.asarray(panel.image)).any(-1)
    top, left = round(CIRCLE[0] * 240), round(CIRCLE[1] * 320)
    assert (
        changed[top - 2 : top + 3, left + 40].any() and changed[top + 40, left - 2 : left + 3].any()
    )
    assert not changed[230:, :40].any()


def test_masks_are_outlined_when_a_decoder_is_given():
    weights = {name: np.zeros(shape, "float32") for name, shape in mask_decoder_shapes().items()}
    bias = next(name for name in reversed(weights) if name.endswith("bias"))
    weights[bias] += 1.0
    prompt = "segment red circle"
    assert asked(prompt=prompt).output["regions"][0]["mask"] == []
    panel = asked(prompt=prompt, decoder=MaskDecoder(weights))
    [region] = panel.output["regions"]
    [ring] = region["mask"]
    xs, ys = np.transpose(ring)
    assert np.allclose([ys.min(), xs.min(), ys.max(), xs.max()], CIRCLE, atol=1 / 200)
    assert region["tokens"] == [20, 22], "the words after the codes"


def test_boxes_are_placed_where_the_model_looked():
    """A converter that crops shows the model the middle of a wide picture only."""
    panel = asked(FakeLookLM(converter=ImageConverter((64, 64))), shapes_picture(480, 240))
    y0, x0, y1, x1 = CIRCLE
    box = panel.output["regions"][0]["box"]
    assert np.allclose(box, [y0, 0.25 + x0 / 2, y1, 0.25 + x1 / 2], atol=1e-4)


def test_the_code_asks_the_same_again(tmp_path):
    path = tmp_path / 'my "shapes".png'
    shapes_picture().save(path)
    panel = asked(image=path, prompt='detect "circle"\n')
    assert 'from_preset("fake_tiny_en")' in panel.code
    calls = []

    class Workbench:
        from workbench import samplers

    class Recorder:
        def generate(self, inputs, **call):
            calls.append((inputs, call))

    lines = [line for line in panel.code.split("\n") if not line.startswith(("import", "lm ="))]
    exec("\n".join(lines), {"wb": Workbench, "lm": Recorder()})
    [(inputs, call)] = calls
    assert inputs == {"images": str(path), "prompts": 'detect "circle"\n'}
    assert call.pop("sampler").__class__.__name__ == "GreedySampler"
    assert call == {"strip_prompt": True, "max_new_tokens": 128}


def test_pictures_of_old_runs_do_not_fill_the_memory():
    class OldRun:
        def __init__(self, number, image):
            self.number, self.picture = number, pictures.Picture(number, image, "picture")

    large = [Image.new("1", (7000, 7000)) for _ in range(3)]
    runs = [OldRun(number, large[number % 3]) for number in range(6)]
    assert [run.number for run in bounded(runs, 20)] == [4, 5]
    small = [OldRun(number, large[0]) for number in range(30)]
    assert [run.number for run in bounded(small, 20)] == list(range(10, 30))


def test_without_a_page_a_panel_prints_itself_escaped(tmp_path):
    path = tmp_path / "<b>bold.png"
    shapes_picture().save(path)
    evil = "</div><script>alert(2)</script>"
    panel = asked(FakeLookLM(answers={"caption": evil}), path, "caption en")
    data, _ = panel._repr_mimebundle_()
    assert data["text/plain"].split("\n")[:3] == [
        "fake_tiny_en · Fake · 2.90 M · float32 (done)",
        "Picture: <b>bold.png, 320 × 240",
        "Prompt: caption en",
    ]
    assert evil in data["text/plain"]
    assert "<script" not in data["text/html"] and "<b>" not in data["text/html"]
    assert '<img alt="&lt;b&gt;bold.png" src="data:image/png;base64,' in data["text/html"]


# -- the protocol ---------------------------------------------------------------------------


def test_a_box_is_sent_as_soon_as_its_tokens_are_there():
    panel = panel_of(FakeLookLM(delay=0.08))
    panel.comm.drain()
    panel.start()
    assert panel.wait(HANG)
    seen = []
    for _, _, data in panel.comm.drain():
        content = data.get("content", {}) if data["method"] == "custom" else {}
        if content.get("type") == "tokens":
            size = content["offset"] + len(content["pieces"])
            seen.append((size, [region["label"] for region in content["regions"]]))
    assert all(labels == [] for size, labels in seen if size < 4)
    assert any(labels == [""] for size, labels in seen if size == 4)
    assert any(labels == ["red circle"] for size, labels in seen if 6 <= size < 11)
    assert [region["tokens"] for region in panel.output["regions"]] == [[4, 6], [11, 13]]


def test_a_dropped_file_becomes_the_picture():
    panel = panel_of(image=None)
    panel.comm.drain()
    content = file_of(shapes_picture())
    upload(panel, content, name="my\nshapes.png", size=200)
    assert len(content) > 400 and panel.error is None
    assert panel.picture["name"] == "myshapes.png" and panel.picture["number"] == 1
    assert np.array_equal(np.asarray(panel.image), np.asarray(shapes_picture()))
    assert 'picture = "myshapes.png"' in panel.code
    assert customs(panel, "opened")
    command(panel, "remove")
    assert panel.image is None and panel.picture == {}


def test_a_file_that_is_no_picture_is_refused_in_a_sentence():
    panel = panel_of()
    before = panel.picture["number"]
    for content in (b"", b"GIF89a", b"%PDF-1.4", file_of(shapes_picture())[:-40]):
        panel.error = None
        panel.comm.drain()
        upload(panel, content, name="odd.bin")
        assert panel.error["message"].startswith("odd.bin") and "\n" not in panel.error["message"]
        assert customs(panel, "opened"), "the page waits no longer"
    upload(panel, b"x" * 20_000_001, name="big.png")
    assert "20 MB" in panel.error["message"]
    assert panel.picture["number"] == before
    upload(panel, file_of(shapes_picture()))
    assert panel.picture["number"] == before + 1 and panel.error is None


def test_the_page_starts_with_the_prompt_and_settings_it_shows():
    panel = panel_of()
    settings = {"sampler": "greedy", "max_new_tokens": 3}
    command(panel, "start", prompt="caption en", settings=settings)
    assert panel.wait(HANG) and panel.prompt == "caption en" and panel.text == "a red circle"
    assert panel.output["summary"].endswith("stop: max tokens")


def test_alternatives_of_a_token_are_answered():
    panel = asked()
    panel.comm.drain()
    command(panel, "alternatives", run=1, index=4)
    [(answer, _)] = customs(panel, "alternatives")
    assert answer["items"][0] == [" red", 90.0, True]


# -- attention ------------------------------------------------------------------------------


def test_attention_is_computed_once_and_kept():
    panel = asked()
    maps = panel.attention()
    assert maps.shape == (13, *GRID) and maps.dtype == np.float32
    assert panel.attention() is maps and panel.lm.looks == 1
    panel.comm.drain()
    command(panel, "attend", run=1)
    [(message, [content])] = customs(panel, "attention")
    assert panel.lm.looks == 1
    levels = np.frombuffer(content, "uint8").reshape(13, *GRID)
    peaks = np.array(message["peaks"])[:, None, None]
    assert (message["tokens"], message["rows"], message["columns"]) == (13, *GRID)
    assert np.abs(levels / 255 * peaks - maps).max() < maps.max() / 255
    assert message["window"] == [0.0, 0.0, 1.0, 1.0]


def test_the_page_asks_for_attention_once_however_often_it_asks():
    looking = threading.Event()
    panel = asked(FakeLookLM(looking=looking))
    panel.comm.drain()
    for _ in range(3):
        command(panel, "attend", run=1)
    assert panel.history[0].attention is None, "a callback does not wait for it"
    looking.set()
    until(lambda: panel.history[0].attention is not None)
    time.sleep(0.05)
    assert panel.lm.looks == 1 and len(customs(panel, "attention")) == 1


def test_attention_that_fails_is_one_sentence():
    panel = asked(FakeLookLM(look_error=RuntimeError("out of memory")))
    panel.comm.drain()
    command(panel, "attend", run=1)
    until(lambda: panel.error is not None)
    assert panel.error["message"].startswith("this run: the memory ran out (out of memory)")
    assert [message["tokens"] for message, _ in customs(panel, "attention")] == [0]
    with pytest.raises(MemoryTooSmallError, match="out of memory"):
        panel.attention()
    assert panel.status == "done" and panel.text


def test_attention_waits_for_the_model(monkeypatch):
    lm = FakeLookLM()
    first, second = panel_of(lm), panel_of(lm)
    first.start()
    first.wait(HANG)
    lm.pace.allow(4)
    second.start()
    until(lambda: second.tokens)
    threading.Timer(0.3, lm.pace.allow).start()
    monkeypatch.setattr(lm, "image_attention", lambda *_: np.full((13, *GRID), lm.active))
    assert first.attention().max() == 0, "no generation was under way meanwhile"


def test_in_the_foreground_everything_is_there_when_it_returns(monkeypatch):
    monkeypatch.setattr(jobs, "needs_foreground", lambda: True)
    panel = panel_of()
    panel.start()
    assert panel.status == "done" and len(panel.regions) == 2
    command(panel, "attend", run=1)
    assert panel.history[0].attention is not None


# -- hostile pages --------------------------------------------------------------------------


PICTURE = {"command": "picture", "name": "a.png"}
HOSTILE = [
    ({"method": "update", "state": {"picture": {}}}, []),
    ({"method": "update", "state": {"code": "x"}}, []),
    ({"method": "update", "state": {"prompt": 7}}, []),
    ({"method": "update", "state": {"prompt": ""}, "buffer_paths": [["prompt"]]}, [b"x"] * 2),
    ({"method": "custom", "content": {"command": "attend", "run": 9}}, []),
    ({"method": "custom", "content": {"command": "attend", "run": True}}, []),
    ({"method": "custom", "content": {"command": "restore", "run": 1e300}}, []),
    ({"method": "custom", "content": {"command": "start", "prompt": 1, "settings": {}}}, []),
    ({"method": "custom", "content": PICTURE}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "part": 0, "parts": 2}}, []),
    ({"method": "custom", "content": {**PICTURE, "part": 0, "parts": 2}}, [b"x", b"y"]),
    ({"method": "custom", "content": {**PICTURE, "part": 1, "parts": 2}}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "part": 2, "parts": 2}}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "part": 0, "parts": 2**70}}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "part": 0.0, "parts": 1}}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "name": 7, "part": 0, "parts": 1}}, [b"x"]),
    ({"method": "custom", "content": {**PICTURE, "name": "x" * 10**6, "part": 0, "parts": 1}}, []),
]


@pytest.mark.parametrize(("data", "buffers"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_changes_nothing_and_shows_one_error(data, buffers):
    panel = panel_of()
    before = panel.get_state()
    say(panel, data, buffers)
    after = panel.get_state()
    state = data.get("state", {})
    if state == {"prompt": ""}:
        assert panel.prompt == "", "its buffers are left alone"
        return
    message = after.pop("error")["message"]
    assert message.startswith("The panel refused") and len(message) < 500
    assert {**after, "error": None} == before
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None


def test_a_flood_of_hostile_messages_is_answered_calmly():
    panel = asked()
    before = panel.get_state()
    choose = random.Random(3)
    values = [None, True, -1, 1e308, "x", "x" * 10_000, [], {}, 2**70]
    panel.comm.drain()
    times = []
    for _ in range(1_000):
        content = {
            "command": choose.choice(list(panel.commands)),
            **{name: choose.choice(values) for name in ("run", "part", "parts", "name", "extra")},
        }
        buffers = [b"x" * choose.randrange(1000) for _ in range(choose.randrange(3))]
        began = time.perf_counter()
        say(panel, {"method": "custom", "content": content}, buffers)
        times.append(time.perf_counter() - began)
    after = panel.get_state()
    assert after.pop("error") is not None and {**after, "error": None} == before
    assert sorted(times)[950] < 0.01 * SLOW and len(panel.comm.drain()) < 20


def test_closing_frees_everything():
    lm = FakeLookLM()
    asked(lm).close()
    gc.collect()
    widgets, threads = len(_instances), threading.active_count()
    refs = []
    for round_ in range(20):
        panel = panel_of(lm, shapes_picture(32, 32))
        refs.append(weakref.ref(panel))
        panel.start()
        if round_ % 2:
            panel.wait(HANG)
            panel.attention()
        panel.close()
    del panel
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert len(_instances) == widgets and sum(ref() is not None for ref in refs) == 0


def test_the_page_is_one_module_that_never_writes_markup():
    source = LookPanel._esm
    assert source.count("export default") == 1
    assert source.count("http") == source.count("http://www.w3.org/2000/svg") + 1, "and one https"
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in source
    assert "import " not in source and "url(" not in LookPanel._css


def test_page_and_python_draw_in_the_same_colours():
    for number, colour in enumerate(COLOURS):
        assert f"--wb-region-{number}: {colour.lower()};" in LookPanel._css
    assert f"REGION_COLOURS = {len(COLOURS)};" in LookPanel._esm
