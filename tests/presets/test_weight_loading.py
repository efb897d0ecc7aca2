"""S4: every tensor used exactly once, all problems in one error, nothing half assigned."""

from __future__ import annotations

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from preset_files import (
    LLAMA_ARGUMENTS,
    drain,
    llama_tensors,
    refused,
    safetensors_bytes,
    same_weights,
    write_llama,
)

from workbench.backbones.weights import Rule, loading
from workbench.errors import PresetError
from workbench.families.gpt2 import TRANSFORMERS, GPT2Backbone
from workbench.families.gpt2 import TRANSFORMERS_RULES as GPT2_RULES
from workbench.families.llama import TRANSFORMERS_RULES, LlamaBackbone
from workbench.formats.safetensors import open_safetensors
from workbench.presets.load import load_backbone
from workbench.presets.loading import WeightLoader, assign

HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"
QUERY = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def loader(tmp_path):
    """A loader over a file of the given tensors."""
    opened = []

    def make(tensors, layers=2, rules=TRANSFORMERS_RULES, ignored=()):
        (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(tensors))
        opened.append(open_safetensors(tmp_path))
        return WeightLoader(opened[-1], rules, layers, ignored)

    yield make
    for source in opened:
        source.close()


def test_values_arrive_in_our_layout(tmp_path):
    tensors = llama_tensors()
    backbone = load_backbone(write_llama(tmp_path), LlamaBackbone)
    values = {v.path: np.asarray(v) for v in backbone.weights}
    query = values["decoder_block_1/attention/query/kernel"]  # (heads, head_dim, in)
    np.testing.assert_array_equal(query.reshape(8, 8), tensors[QUERY])
    np.testing.assert_array_equal(values["token_embedding/embeddings"], tensors[TABLE])
    np.testing.assert_array_equal(values["token_embedding/reverse_embeddings"], tensors[HEAD].T)


def test_no_initializer_runs_during_a_load(tmp_path, monkeypatch):
    import keras

    def forbidden(*args, **kwargs):
        raise AssertionError("random initialization")

    monkeypatch.setattr(keras.initializers.RandomNormal, "__call__", forbidden)
    load_backbone(write_llama(tmp_path), LlamaBackbone)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_dtypes_are_converted(loader, llama_shapes, kind):
    dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[kind]
    tensors = {name: values.astype(dtype) for name, values in llama_tensors().items()}
    values = drain(loader(tensors), llama_shapes)
    table = values["token_embedding/embeddings"]
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table, tensors[TABLE].astype(np.float32))


def test_names_without_the_base_prefix_are_found(loader, llama_shapes):
    tensors = {name.removeprefix("model."): v for name, v in llama_tensors().items()}
    drain(loader(tensors), llama_shapes)


def poke(name, value):
    def change(tensors):
        tensors[name].reshape(-1)[-1] = value

    return change


FAULTS = {
    "missing": (lambda t: t.pop(QUERY), "q_proj.weight.*missing"),
    "unexpected": (lambda t: t.update(extra=np.ones(2, "f4")), "'extra' .2,.: unexpected"),
    "suffix": (
        lambda t: t.update({"zzz_evil." + QUERY: t.pop(QUERY)}),
        r"(?s)(missing.*evil.*unexpected)|(evil.*unexpected.*missing)",
    ),
    "two prefixes": (lambda t: t.update({QUERY[6:]: t[QUERY]}), "both present"),
    "shape": (lambda t: t.update({QUERY: np.ones((4, 8), "f4")}), r"expected shape \(8, 8\), got"),
    "transposed": (
        lambda t: t.update({TABLE: np.ones((8, 11), "f4")}),
        r"expected shape \(11, 8\), got \(8, 11\)",
    ),
    "integer": (lambda t: t.update({QUERY: np.ones((8, 8), "i8")}), "bfloat16, got int64"),
    "double": (lambda t: t.update({QUERY: np.ones((8, 8), "f8")}), "bfloat16, got float64"),
    "nan": (poke(QUERY, np.nan), "NaN or infinite"),
    "infinite": (poke(HEAD, -np.inf), "NaN or infinite"),
    "one layer more": (lambda t: t.update(llama_tensors(layers=3)), "layers.2.*unexpected"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(loader, llama_shapes, name):
    change, message = FAULTS[name]
    tensors = llama_tensors()
    change(tensors)
    with refused(message):
        drain(loader(tensors), llama_shapes)


def test_all_faults_are_in_one_error_the_first_twenty_in_full(loader, llama_shapes):
    tensors = llama_tensors()
    for name, (change, _) in FAULTS.items():
        if name in ("missing", "unexpected", "nan"):
            change(tensors | {})
    tensors.pop(QUERY)
    tensors |= {f"extra.{i:02}": np.ones(2, "f4") for i in range(40)}
    with refused("41 problems") as caught:
        drain(loader(tensors), llama_shapes)
    text = str(caught.value)
    assert "q_proj" in text
    assert "and 21 more" in text
    assert "extra.18" in text
    assert "extra.30" not in text


@pytest.mark.parametrize("layers", [0, -1, True, 10**6, 2.0, "2", None, [2]])
def test_impossible_depths_are_refused_before_anything_is_built(loader, layers):
    with refused("number of layers"):
        loader(llama_tensors(), layers=layers)


def test_fewer_layers_than_the_file_holds_are_refused(tmp_path):
    with refused("layers.1"):
        load_backbone(write_llama(tmp_path, num_hidden_layers=1), LlamaBackbone)


def test_a_model_larger_than_its_file_allocates_nothing(loader):
    weights = loader(llama_tensors())
    with refused("more numbers than the file"):
        weights.value("token_embedding/embeddings", (2**40, 8), "float32")


def test_memory_holds_one_tensor_at_a_time(loader):
    tensors = {f"t{i}": np.ones((512, 512), "f4") for i in range(16)}
    size = tensors["t0"].nbytes
    rules = [Rule(f"w{i}", f"t{i}", "io -> oi") for i in range(16)]
    weights = loader(tensors, 1, rules)
    del tensors
    tracemalloc.start()
    values = [weights.value(f"w{i}", (512, 512), "float16") for i in range(16)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    weights.finish()
    assert len(values) == 16
    assert peak < 2.5 * size  # the file's dtype, ours, and a little; not 16 of them


class TestTiedHead:
    """`lm_head.weight` beside a tied table: a copy is fine, anything else is not."""

    def load(self, folder, tensors):
        return load_backbone(write_llama(folder, tensors, tie_word_embeddings=True), LlamaBackbone)

    def test_absent(self, tmp_path):
        tensors = llama_tensors()
        del tensors[HEAD]
        assert len(self.load(tmp_path, tensors).weights) == len(tensors)

    def test_a_bit_equal_copy(self, tmp_path):
        tensors = llama_tensors()
        tensors[HEAD] = tensors[TABLE].copy()
        self.load(tmp_path, tensors)

    @pytest.mark.parametrize("where", [0, -1])
    def test_a_copy_that_differs_in_one_bit(self, tmp_path, where):
        tensors = llama_tensors()
        tensors[HEAD] = tensors[TABLE].copy()
        bits = tensors[HEAD].reshape(-1).view(np.uint32)
        bits[where] ^= 1
        with refused("not a copy"):
            self.load(tmp_path, tensors)

    def test_a_copy_of_another_dtype(self, tmp_path):
        tensors = llama_tensors()
        tensors[HEAD] = tensors[TABLE].astype(np.float16)
        with refused("not a copy"):
            self.load(tmp_path, tensors)


GPT2_SHAPES = {"wte.weight": (9, 6), "wpe.weight": (5, 6), "ln_f.weight": (6,), "ln_f.bias": (6,)}
GPT2_LAYER = {
    "attn.c_attn.weight": (6, 18),
    "attn.c_attn.bias": (18,),
    "attn.c_proj.weight": (6, 6),
    "attn.c_proj.bias": (6,),
    "ln_1.weight": (6,),
    "ln_1.bias": (6,),
    "ln_2.weight": (6,),
    "ln_2.bias": (6,),
    "mlp.c_fc.weight": (6, 8),
    "mlp.c_fc.bias": (8,),
    "mlp.c_proj.weight": (8, 6),
    "mlp.c_proj.bias": (6,),
}


class TestFusedTensors:
    """GPT-2 keeps query, key and value in one matrix."""

    def tensors(self):
        noise = np.random.default_rng(0)
        shapes = GPT2_SHAPES | {"h.0." + name: shape for name, shape in GPT2_LAYER.items()}
        return {n: noise.standard_normal(s).astype(np.float32) for n, s in shapes.items()}

    def build(self, loader, tensors):
        weights = loader(tensors, 1, GPT2_RULES, TRANSFORMERS.ignored)
        with loading(weights):
            backbone = GPT2Backbone(9, 1, 2, 6, 8, max_sequence_length=5)
        weights.finish()
        return {v.path: np.asarray(v) for v in backbone.weights}

    def test_each_weight_gets_its_third(self, loader):
        tensors = self.tensors()
        values = self.build(loader, tensors)
        matrix, bias = tensors["h.0.attn.c_attn.weight"], tensors["h.0.attn.c_attn.bias"]
        for third, name in enumerate(["query", "key", "value"]):
            columns = slice(6 * third, 6 * third + 6)
            place = f"decoder_block_0/attention/{name}/"
            np.testing.assert_array_equal(
                values[place + "kernel"].reshape(6, 6).T, matrix[:, columns]
            )
            np.testing.assert_array_equal(values[place + "bias"].reshape(6), bias[columns])

    def test_buffers_of_old_files_are_ignored_by_name(self, loader):
        buffers = {
            "h.0.attn.bias": np.ones((1, 1, 5, 5), np.uint8),
            "h.0.attn.masked_bias": np.float32(-1e4).reshape(()),
        }
        self.build(loader, self.tensors() | buffers)
        with refused("unexpected"):
            self.build(loader, self.tensors() | {"h.0.attn.other_bias": np.ones(1, "f4")})

    def test_a_part_nobody_asks_for_is_noticed(self, loader):
        weights = loader({"h.0.attn.c_attn.bias": np.ones(18, "f4")}, 1, GPT2_RULES)
        weights.value("decoder_block_0/attention/query/bias", (2, 3), "float32")
        with refused("1 of its 3 parts used"):
            weights.finish()


def test_overflow_in_half_precision_is_a_named_fault(loader):
    tensors = llama_tensors()
    tensors[TABLE][0, 0] = 1e6
    weights = loader(tensors)
    weights.value("token_embedding/embeddings", (11, 8), "float16")
    with refused("infinite numbers as float16"):
        weights.finish()


class TestAssign:
    def test_a_live_model_takes_the_values(self, loader):
        backbone = LlamaBackbone(**LLAMA_ARGUMENTS)
        assign(backbone, loader(llama_tensors(seed=1)))
        np.testing.assert_array_equal(np.asarray(backbone.weights[0]), llama_tensors(seed=1)[TABLE])

    @pytest.mark.parametrize("name", FAULTS)
    def test_after_any_fault_the_live_model_is_bit_identical(self, loader, llama_backbone, name):
        before = [np.asarray(v).tobytes() for v in llama_backbone.weights]
        tensors = llama_tensors(seed=2)
        FAULTS[name][0](tensors)
        with pytest.raises(PresetError):
            assign(llama_backbone, loader(tensors))
        for variable, old in zip(llama_backbone.weights, before, strict=True):
            assert np.asarray(variable).tobytes() == old


def test_loading_twice_gives_the_same(tmp_path):
    folder = write_llama(tmp_path)
    assert same_weights(load_backbone(folder, LlamaBackbone), load_backbone(folder, LlamaBackbone))
