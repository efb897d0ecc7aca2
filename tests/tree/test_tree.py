"""The trees of models of unlike families: the right parts, the right numbers, nothing read."""

import re
import time
from html.parser import HTMLParser

import jax
import pytest
from IPython.core.formatters import DisplayFormatter
from patience import SLOW
from tiny import GOLDENS, byte_tokenizer, tiny_backbone

import workbench as wb

FAMILIES = {
    **dict.fromkeys(
        ("llama", "gpt2", "falcon_alibi", "gemma3_text", "gemma3_vision", "mixtral"), "CausalLM"
    ),
    **dict.fromkeys(("paligemma", "phi3_longrope", "qwen2_moe_dense", "bloom"), "CausalLM"),
    **dict.fromkeys(("bart", "t5gemma"), "Seq2SeqLM"),
    "moonshine": "AudioToText",
    "bert_classifier": "TextClassifier",
}


class Outline(HTMLParser):
    """The names in a page, in their order; every element has to be closed where it belongs."""

    def __init__(self, page):
        super().__init__()
        self.names, self.wrong, self._open, self._named = [], [], [], False
        self.feed(page)

    @property
    def depth(self):
        return len(self._open)

    def handle_starttag(self, tag, attributes):
        self._open.append(tag)
        self._named = tag == "strong" or "--jp-code-font" in dict(attributes).get("style", "")

    def handle_endtag(self, tag):
        if self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self._named:
            self.names.append(data)
        self._named = False


def load(name, **settings):
    cls = getattr(wb.models, FAMILIES[name])
    return cls.from_preset(str(GOLDENS / "hf" / name), **{"dtype": "float32", **settings})


@pytest.fixture(scope="module", params=FAMILIES)
def lm(request):
    return load(request.param)


@pytest.fixture(scope="module")
def stories():
    return wb.models.CausalLM.from_preset("stories_tiny_en", dtype="float32")


def leaves(node, times=1):
    """The numbers of every variable, added by hand."""
    return times * node.count * node.size + sum(
        leaves(child, times * node.count) for child in node.children
    )


def names(node):
    return [child.name for child in node.children]


def part(node, *path):
    for name in path:
        (node,) = (child for child in node.children if child.name == name)
    return node


def memory(model):
    return sum(jax.numpy.asarray(variable.value).nbytes for variable in model.weights)


def test_the_leaves_are_all_parameters_there_are(lm):
    for model in (lm, lm.backbone):
        root = model.tree().root
        assert leaves(root) == root.parameters == model.count_params()
        assert root.memory == memory(model)


def test_it_is_short_as_text_and_quick(lm):
    lm.tree()
    start = time.perf_counter()
    bundle = lm._repr_mimebundle_()
    assert time.perf_counter() - start < 0.1 * SLOW
    lines = bundle["text/plain"].splitlines()
    assert 8 <= len(lines) <= 50 and max(map(len, lines)) <= 118
    assert len(repr(lm).splitlines()) == 1 and f"{lm.count_params():,} parameters" in repr(lm)
    assert str(GOLDENS) not in bundle["text/html"] + bundle["text/plain"] + repr(lm)


def test_the_page_says_what_the_tree_says(lm):
    outline = Outline(lm._repr_mimebundle_()["text/html"])
    assert outline.depth == 0 and not outline.wrong

    def walk(node):
        yield node.name
        for child in node.children:
            yield from walk(child)

    assert outline.names == list(walk(lm.tree().root))


def test_no_array_is_read(stories, monkeypatch):
    stories.adapters.add("pirate", rank=2)

    def refuse(*given):
        raise AssertionError("a variable's numbers were read")

    monkeypatch.setattr("keras.src.backend.jax.core.JaxVariable._convert_to_tensor", refuse)
    monkeypatch.setattr("keras.Variable.value", property(refuse))
    monkeypatch.setattr("keras.Variable.__array__", refuse, raising=False)
    try:
        assert stories.tree().root.parameters and repr(stories)
        assert stories._repr_mimebundle_()["text/html"]
    finally:
        monkeypatch.undo()
        stories.adapters.remove("pirate")


def test_a_task_shows_its_parts(stories):
    root = stories.tree().root
    assert names(root) == ["preprocessor", "backbone", "sampler"]
    assert part(root, "preprocessor", "tokenizer").detail == (
        "LlamaTokenizer(2048 tokens), SentencePiece"
    )
    blocks = part(root, "backbone", "decoder blocks 0-3")
    assert (blocks.count, blocks.kind, blocks.each) == (4, "Sequential", 557_568)
    assert part(blocks, "attention").detail == ("heads=4, kv_heads=1, head_dim=64, position=Rope()")
    assert part(blocks, "mlp").detail == "width=512"
    assert part(blocks, "attention", "query").detail == "256 → 4 × 64"
    assert part(root, "backbone", "components").detail == (
        "4 layers of width 256, position=Rope(), norm=RMSNorm(epsilon=1e-05), "
        "mlp=Gated(width=512), block=Sequential(), tied embeddings"
    )
    assert part(root, "sampler").detail == repr(stories.sampler)


def test_the_order_is_that_of_the_work():
    sequential = part(load("gemma3_text").tree().root, "backbone").children[3]
    assert [n for n in names(sequential) if "norm" not in n] == ["attention", "mlp"]
    assert names(sequential)[:3] == ["attention_norm", "attention", "post_attention_norm"]
    post_norm = part(load("bert_classifier").tree().root, "backbone", "encoder blocks 0-2")
    assert names(post_norm)[:4] == ["attention", "attention_norm", "mlp", "mlp_norm"]
    both = names(part(load("t5gemma").tree().root, "backbone"))
    sides = [name.startswith("decoder") for name in both[2:]]
    assert sides == sorted(sides), both


def test_layers_that_differ_are_grouped_by_kind():
    backbone = part(load("gemma3_vision").tree().root, "backbone")
    sliding, whole = (node for node in backbone.children if node.name.startswith("decoder"))
    assert (sliding.name, sliding.count) == ("decoder blocks 0-4, 6", 6)
    assert (whole.name, whole.count, whole.detail) == ("decoder_block_5", 1, "")
    assert sliding.detail == "window=6" and sliding.each == whole.each
    encoder = part(backbone, "image_encoder")
    assert "pictures of 28 × 28 to 16 patches" in encoder.detail
    assert part(encoder, "blocks 0-1").count == 2
    assert "4 places a picture" in part(backbone, "image_connector").detail


def test_mixtures_recordings_and_classifiers_are_described():
    mixture = part(load("mixtral").tree().root, "backbone", "decoder blocks 0-3", "mlp")
    assert mixture.detail.startswith("experts=4, active=2, width=96")
    assert names(mixture) == ["router", "experts"]
    heard = part(load("moonshine").tree().root, "backbone")
    assert part(heard, "audio").detail == "a frame for every 384 samples"
    assert names(heard)[:2] == ["encoder components", "decoder components"]
    assert part(heard, "decoder blocks 0-1").kind == "Cross"
    classifier = load("bert_classifier").tree().root
    assert part(classifier, "logits").detail == "→ 3" and "sampler" not in names(classifier)


@pytest.mark.parametrize("name", ["words_tiny", "shapes_tiny", "digits_tiny"])
def test_converters_are_shown(name):
    lm = wb.models.CausalLM.from_preset(name, dtype="float32")
    root = lm.tree().root
    assert leaves(root) == root.parameters == lm.count_params()
    kinds = {"words_tiny": "image_converter", "shapes_tiny": "image_converter"}
    converter = part(root, "preprocessor", kinds.get(name, "audio_converter"))
    assert converter.kind.endswith("Converter") and converter.detail
    [_] = [node for node in part(root, "preprocessor").children if node.name.endswith("converter")]
    assert re.search(r"\d+ tokens", part(root, "preprocessor", "tokenizer").detail)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_integers_are_told(mode):
    lm = load("llama", dtype=mode)
    root = lm.tree().root
    assert leaves(root) == root.parameters == lm.count_params() and root.memory == memory(lm)
    query = part(root, "backbone", "decoder blocks 0-3", "attention", "query")
    kernel, scale = query.children[:2]
    assert (kernel.dtype, scale.dtype) == (mode, "float32") and query.detail.endswith(mode)
    assert root.dtypes[0] == mode and f", {mode}>" in repr(lm)


def test_adapters_are_told_with_which_is_active():
    backbone = tiny_backbone("llama")
    preprocessor = wb.models.GPT2CausalLMPreprocessor(byte_tokenizer())
    lm = wb.models.LlamaCausalLM(backbone, preprocessor)
    before = lm.count_params()
    lm.adapters.add("calm", rank=2)
    lm.adapters.add("wild", rank=3, alpha=6, targets=["query"])
    root = lm.tree().root
    assert part(root, "adapters", "calm").detail == "rank 2 on query, value, 448 parameters"
    assert part(root, "adapters", "wild").detail == (
        "rank 3, alpha 6 on query, 384 parameters, active"
    )
    assert leaves(root) == lm.count_params() == before + 384 + 2, "and a scale in each layer"
    lm.adapters.merge()
    merged = lm.tree().root
    assert part(merged, "adapters", "wild").detail.endswith("merged")
    assert leaves(merged) == lm.count_params() == before


def test_keras_summary_stays_as_it_is(stories, capsys):
    stories.summary(line_length=100)
    assert "Total params" in capsys.readouterr().out


def test_what_is_printed_says_how_deep(stories):
    assert str(stories.tree()) == repr(stories.tree())
    whole = str(stories.tree(None)).splitlines()
    assert (
        len(whole) > len(str(stories.tree()).splitlines()) > len(str(stories.tree(1)).splitlines())
    )
    assert any("kernel  (4, 64, 256)" in line for line in whole)


def test_a_notebook_gets_both_forms(stories):
    formatter = DisplayFormatter()
    for shown in (stories, stories.backbone, stories.tree()):
        data, _ = formatter.format(shown)
        assert data["text/plain"].startswith("stories_tiny_en · Llama")
        assert data["text/html"].startswith("<div") and "<details" in data["text/html"]
