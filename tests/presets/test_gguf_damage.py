"""Damaged and hostile GGUF files end in a named error: quickly, and before memory is asked for."""

from __future__ import annotations

import struct
import time
import tracemalloc

import numpy as np
import pytest
from gguf_files import (
    ARRAY,
    FLOAT32,
    INT32,
    STRING,
    UINT32,
    UINT64,
    assembled,
    byte_tokenizer_metadata,
    entry,
    info,
    number_entry,
    string_entry,
    text,
    write_golden,
)
from patience import SLOW
from tiny import GOLDENS

import workbench as wb
from workbench.errors import MAX_MESSAGE, PresetError
from workbench.formats.gguf_file import read_header
from workbench.formats.gguf_settings import fit_llama3, llama3_factors

ARCHITECTURE = string_entry("general.architecture", "llama")
FOUR = info("t", (1, 4))


def array(kind, count, payload=b""):
    return struct.pack("<IQ", kind, count) + payload


HEADERS = {
    "empty": (b"", "magic"),
    "another kind of file": (assembled(magic=b"GGML"), "another kind of file"),
    "version 1": (assembled(version=1), "version: expected 2 or 3"),
    "big-endian": (assembled(version=3 << 24), "3, big-endian"),
    "a billion tensors": (assembled(counts=(10**9, 0)), "number of tensors: expected at most"),
    "2**63 entries": (assembled(counts=(0, 2**63)), "number of metadata entries"),
    "fewer entries than counted": (assembled(counts=(0, 3)), "metadata key"),
    "a long key": (assembled([string_entry("k" * 300, "v")]), "at most 255 bytes"),
    "an empty key": (assembled([string_entry("", "v")]), "an empty one"),
    "a string beyond the end": (
        assembled([entry("key", STRING, struct.pack("<Q", 2**40))]),
        "'key': length",
    ),
    "a list of 2**60 strings": (
        assembled([entry("key", ARRAY, array(STRING, 2**60))]),
        "number of strings",
    ),
    "a list of 2**60 numbers": (
        assembled([entry("key", ARRAY, array(UINT64, 2**60))]),
        "a header within",
    ),
    "a list of lists": (assembled([entry("key", ARRAY, array(ARRAY, 1))]), "a string or numbers"),
    "an unknown kind of value": (assembled([entry("key", 77, b"")]), "a string or numbers"),
    "a key twice": (assembled([ARCHITECTURE] * 2), "general.architecture.*the key twice"),
    "a tensor twice": (assembled([ARCHITECTURE], [FOUR] * 2, bytes(16)), "'t'.*two"),
    "no dimensions": (assembled([ARCHITECTURE], [info("t", ())], bytes(16)), "1 to 4 dimensions"),
    "five dimensions": (assembled([], [info("t", (1,) * 5)], bytes(16)), "1 to 4 dimensions"),
    "2**32 dimensions": (
        assembled([], [text("t") + struct.pack("<I", 2**32 - 1)], bytes(16)),
        "1 to 4 dimensions",
    ),
    "an empty tensor": (assembled([], [info("t", (0, 4))], bytes(16)), "'t': shape"),
    "0 times 2**63": (assembled([], [info("t", (0, 2**63))], bytes(16)), "'t': shape"),
    "2**252 numbers": (assembled([], [info("t", (2**63,) * 4)], bytes(16)), "beyond the end"),
    "a tensor type of today's": (assembled([], [info("t", (1, 256), 16)], bytes(999)), "'t': type"),
    "a type that never was": (assembled([], [info("t", (4,), 2**31)], bytes(16)), "'t': type"),
    "half a block": (assembled([], [info("t", (2, 48), 2)], bytes(99)), "blocks of 32"),
    "beyond the end": (assembled([], [info("t", (5,))], bytes(16)), "beyond the end"),
    "an offset of 2**63": (assembled([], [info("t", (4,), 0, 2**63)], bytes(16)), "beyond the end"),
    "overlapping": (
        assembled([], [info("a", (4,)), info("b", (4,), 0, 8)], bytes(32)),
        "'b'.*after the tensor before it",
    ),
    "alignment 0": (assembled([number_entry("general.alignment", 0)]), "general.alignment"),
    "alignment 7": (assembled([number_entry("general.alignment", 7)]), "general.alignment"),
    "alignment of letters": (assembled([string_entry("general.alignment", "8")]), "alignment"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name, tmp_path):
    data, message = HEADERS[name]
    (tmp_path / "model.gguf").write_bytes(data)
    begin = time.perf_counter()
    tracemalloc.start()
    with pytest.raises(PresetError, match=message) as caught:
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6 and time.perf_counter() - begin < 2 * SLOW
    assert "model.gguf" in str(caught.value) and len(str(caught.value)) <= MAX_MESSAGE


def test_millions_of_empty_strings_are_refused_in_time(tmp_path):
    path = tmp_path / "model.gguf"
    count = 5_000_000
    path.write_bytes(assembled([entry("key", ARRAY, array(STRING, count, bytes(8 * count)))]))
    begin = time.perf_counter()
    with pytest.raises(PresetError, match="number of strings"):
        read_header(path)
    assert time.perf_counter() - begin < 2 * SLOW


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small, whole file, and what it holds."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_golden(path, GOLDENS / "hf" / "llama", tokenizer=byte_tokenizer_metadata(120))
    return path.read_bytes(), read_header(path)


def refused(path, data):
    """Whether loading ends in a named error; anything else but success fails the test."""
    path.write_bytes(data)
    try:
        wb.models.CausalLM.from_preset(str(path), load_weights=False)
    except PresetError as error:
        assert len(str(error)) <= MAX_MESSAGE
        return True
    return False


def test_a_file_cut_short_anywhere_is_refused(whole, tmp_path):
    data, header = whole
    start = min(entry.begin for entry in header.tensors.values())
    cuts = [*range(0, start, 7), *range(start, len(data) - 1, 9973), len(data) - 1]
    assert all(refused(tmp_path / "cut.gguf", data[:cut]) for cut in cuts)


@pytest.mark.filterwarnings("ignore:.*pre is missing")
def test_changed_headers_are_refused_or_read(whole, tmp_path):
    data, header = whole
    start = min(entry.begin for entry in header.tensors.values())
    noise = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(data)
        for place in noise.integers(0, start, noise.integers(1, 4)):
            changed[place] = noise.integers(0, 256)
        refused(tmp_path / "changed.gguf", bytes(changed))


# Settings. Every one of them is refused by arithmetic, before a backbone is built.

SIZES = {
    "block_count": 1,
    "embedding_length": 4,
    "feed_forward_length": 4,
    "attention.head_count": 1,
}
SETTINGS = {
    "block_count": (0, 10**6, 2**31, "12", 1.5, True),
    "embedding_length": (0, 2**31, "4", 2.5),
    "attention.head_count": (0, 3, 2**31, "1", float("nan")),
    "attention.head_count_kv": (0, 2, "1"),
    "attention.key_length": (0, 2**31, "4", 3),
    "attention.layer_norm_rms_epsilon": (0.0, float("nan"), float("inf"), "1e-5"),
    "rope.freq_base": (0.0, float("nan"), "x"),
    "rope.scaling.type": ("yarn", 3),
    "rope.scaling.factor": (float("nan"), "x"),
    "rope.dimension_count": (2, "4"),
    "expert_count": (3,),
    "a_setting_of_tomorrow": (1,),
}


def one_block(**changed):
    """A file of one block of width 4, its tensors of zeros but for the norms."""
    values = SIZES | {"attention.layer_norm_rms_epsilon": 1e-5} | changed
    kinds = {str: STRING, int: UINT32, float: FLOAT32, bool: 7}
    codes = {UINT32: "<I", FLOAT32: "<f", 7: "<?"}
    entries = [ARCHITECTURE]
    for key, value in values.items():
        kind = kinds[type(value)]
        payload = text(value) if kind == STRING else struct.pack(codes[kind], value)
        entries.append(entry(f"llama.{key}", kind, payload))
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {f"blk.0.{name}.weight": (4, 4) for name in square}
    shapes |= {f"blk.0.{name}.weight": (4,) for name in ("attn_norm", "ffn_norm")}
    shapes |= {"token_embd.weight": (6, 4), "output_norm.weight": (4,)}
    infos, offset = [], 0
    for name, shape in shapes.items():
        infos.append(info(name, shape, 0, offset))
        offset += -(-4 * int(np.prod(shape)) // 32) * 32
    return assembled(entries, infos, bytes(offset))


def test_the_file_whose_settings_are_changed_is_a_good_one(tmp_path):
    (tmp_path / "model.gguf").write_bytes(one_block())
    lm = wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))
    assert lm.backbone.count_params() == 7 * 16 + 3 * 4 + 24


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in SETTINGS.items() for value in values]
)
def test_settings(key, value, tmp_path):
    (tmp_path / "model.gguf").write_bytes(one_block(**{key: value}))
    begin = time.perf_counter()
    with pytest.raises(PresetError, match=r"model\.gguf"):
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))
    assert time.perf_counter() - begin < 1 * SLOW


def test_a_setting_that_differs_from_layer_to_layer_is_refused(tmp_path):
    sizes = [entry(f"llama.{k}", UINT32, struct.pack("<I", v)) for k, v in SIZES.items()]
    heads = array(INT32, 2, struct.pack("<2i", 1, 2))
    sizes[-1] = entry("llama.attention.head_count", ARRAY, heads)
    infos = [info("token_embd.weight", (6, 4))]
    (tmp_path / "model.gguf").write_bytes(assembled([ARCHITECTURE, *sizes], infos, bytes(96)))
    with pytest.raises(PresetError, match=r"head_count: expected one value for all layers"):
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))


def test_missing_and_unexpected_tensors_are_named_together(tmp_path):
    data = one_block().replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_UP.weight")
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(PresetError, match=r"ffn_up.weight.*missing(.|\n)*ffn_UP.*unexpected"):
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))


def test_numbers_that_are_none_are_refused(tmp_path):
    data = bytearray(one_block())
    data[-32:-28] = struct.pack("<f", float("nan"))  # 16 bytes of padding follow the last tensor
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(PresetError, match=r"output_norm.weight.*NaN"):
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))


def test_an_architecture_without_a_family_is_named(tmp_path):
    entries = [string_entry("general.architecture", "rwkv7")]
    (tmp_path / "model.gguf").write_bytes(assembled(entries))
    with pytest.raises(PresetError, match=r"general.architecture: expected one of .*'rwkv7'"):
        wb.models.CausalLM.from_preset(str(tmp_path / "model.gguf"))


# Split files.


def split(data_of, index, count):
    numbers = {"split.no": index, "split.count": count}
    entries = [number_entry(key, value) for key, value in numbers.items()]
    return assembled([ARCHITECTURE, *entries], [info(*data_of)], bytes(32))


def part(folder, index, count=2):
    return folder / f"model-{index:05}-of-{count:05}.gguf"


def test_the_parts_of_a_split_file_belong_together(tmp_path):
    part(tmp_path, 1).write_bytes(split(("a", (4,)), 0, 2))
    with pytest.raises(PresetError, match=r"parts: expected 2 files, got no model-00002"):
        wb.models.CausalLM.from_preset(str(part(tmp_path, 1)))
    part(tmp_path, 2).write_bytes(split(("a", (4,)), 1, 2))
    with pytest.raises(PresetError, match="a tensor once, got in two parts"):
        wb.models.CausalLM.from_preset(str(part(tmp_path, 1)))
    part(tmp_path, 2).write_bytes(split(("b", (4,)), 0, 2))
    with pytest.raises(PresetError, match=r"expected part 2 of 2, got 0, 2"):
        wb.models.CausalLM.from_preset(str(part(tmp_path, 1)))
    with pytest.raises(PresetError, match=r"the first part, model-00001-of-00002.gguf"):
        wb.models.CausalLM.from_preset(str(part(tmp_path, 2)))


# The rule of Llama 3.1, of which files keep the result alone.


@pytest.mark.parametrize(("factor", "original"), [(8.0, 8192), (32.0, 8192), (4.0, 2048)])
def test_llama3_settings_are_found_from_their_divisors(factor, original):
    divisors = llama3_factors(500_000.0, 128, factor, original).astype(np.float32)
    assert fit_llama3(divisors, 500_000.0, 128) == (factor, original)


def test_divisors_of_another_rule_are_none():
    divisors = llama3_factors(500_000.0, 128, 8, 8192, low=2, high=9).astype(np.float32)
    assert fit_llama3(divisors, 500_000.0, 128) is None
    assert fit_llama3(np.linspace(1, 8, 64, dtype=np.float32), 500_000.0, 128) is None
