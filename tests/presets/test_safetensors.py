"""S1 to S3, S8: damaged and crafted safetensors files end in a named error, soon and small."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from preset_files import llama_tensors, nothing_opened_outside, refused, safetensors_bytes

from workbench.errors import PresetError
from workbench.formats.safetensors import INDEX, WHOLE, open_safetensors
from workbench.formats.tensors import FLOATS


def read_all(folder):
    source = open_safetensors(folder)
    try:
        return {name: source.read(name) for name in source.names() if source.dtype(name) in FLOATS}
    finally:
        source.close()


@pytest.fixture
def write(tmp_path):
    """Write bytes as the weights of a folder, and give the folder."""

    def put(data):
        (tmp_path / WHOLE).write_bytes(data)
        return tmp_path

    return put


@pytest.fixture(scope="module")
def good():
    return safetensors_bytes(llama_tensors(layers=1))


def header_length(data):
    return struct.unpack("<Q", data[:8])[0]


def test_values_of_every_dtype_come_back(write):
    values = np.random.default_rng(0).standard_normal((3, 5))
    kinds = (np.float32, np.float16, ml_dtypes.bfloat16)
    tensors = {np.dtype(kind).name: values.astype(kind) for kind in kinds}
    tensors["scalar"] = np.float32(2).reshape(())
    tensors["empty"] = np.zeros((0, 4), np.float32)
    read = read_all(write(safetensors_bytes(tensors)))
    for name, expected in tensors.items():
        assert read[name].dtype == expected.dtype
        assert read[name].tobytes() == expected.tobytes()
        assert read[name].shape == expected.shape


def test_s1_every_truncation_is_refused(write, good):
    header = 8 + header_length(good)
    steps = np.linspace(header, len(good) - 1, 64, dtype=int)
    for length in {*range(header + 1), *steps, *range(len(good) - 8, len(good))}:
        folder = write(good[:length])
        with pytest.raises(PresetError):
            open_safetensors(folder)


def test_s2_a_flipped_header_bit_is_an_error_or_changes_no_tensor(write):
    tensors = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, "float16")}
    data = safetensors_bytes(tensors)
    for byte in range(8 + header_length(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[byte] ^= 1 << bit
            try:
                read = read_all(write(flipped))
            except PresetError:
                continue
            # A renamed tensor is found missing by the loader; what keeps its name keeps its value.
            for name in read.keys() & tensors.keys():
                assert read[name].nbytes == tensors[name].nbytes


def long_header(table):
    table["__metadata__"] = {"note": " " * (17 * 2**20)}


CRAFTED = {
    "hole": lambda t: t["a"].update(data_offsets=[4, 28]),
    "overlap": lambda t: t["b"].update(data_offsets=[20, 32]),
    "beyond the end": lambda t: t["b"].update(data_offsets=[24, 48], shape=[6]),
    "negative": lambda t: t["a"].update(data_offsets=[-4, 20]),
    "shape disagrees": lambda t: t["a"].update(shape=[2, 4]),
    "negative size": lambda t: t["a"].update(shape=[-2, -3]),
    "boolean size": lambda t: t["a"].update(shape=[True, 6]),
    "fraction": lambda t: t["a"].update(shape=[2.0, 3]),
    "rank 70": lambda t: t["a"].update(shape=[1] * 69 + [6]),
    "nothing of something huge": lambda t: t["a"].update(shape=[0, 2**62], data_offsets=[0, 0]),
    "huge": lambda t: t["a"].update(shape=[2**40, 2**40]),
    "unknown dtype": lambda t: t["a"].update(dtype="F7"),
    "dtype of another kind": lambda t: t["a"].update(dtype=["F32"]),
    "extra key": lambda t: t["a"].update(path="/etc/passwd"),
    "no object": lambda t: t.update(a=[1, 2]),
    "metadata no strings": lambda t: t.update(__metadata__={"a": {"b": 1}}),
    "100 MB header": long_header,
}


@pytest.mark.parametrize("name", CRAFTED)
def test_s3_crafted_headers_are_refused(write, name):
    tensors = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
    folder = write(safetensors_bytes(tensors, CRAFTED[name]))
    tracemalloc.start()
    with refused(), nothing_opened_outside(folder):
        open_safetensors(folder)
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    tracemalloc.stop()


def with_header(text, data=b""):
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63),
        with_header(b""),
        with_header(b" {}"),
        with_header(b"[]"),
        with_header(b'{"a": NaN}'),
        with_header(b"\xff\xfe"),
        with_header(b"[" * 200_000 + b"]" * 200_000),
        with_header(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
        with_header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 2, bytes(4)),
        with_header(
            b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
            b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
        ),
        with_header(b'{"a":{"dtype":"F32","dtype":"F16","shape":[0],"data_offsets":[0,0]}}'),
    ],
    ids=lambda data: str(data[8:30]),
)
def test_s3_what_is_no_header_is_refused(write, data):
    with refused(seconds=1):
        open_safetensors(write(data))


def test_s3_more_tensors_than_any_model_has_are_refused(write):
    entry = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = "{" + ",".join(entry % i for i in range(100_001)) + "}"
    with refused("at most 100000"):
        open_safetensors(write(with_header(text.encode())))


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with refused(r"\.bin weights are not read"):
        open_safetensors(tmp_path)


def shard(folder, parts, weight_map=None):
    for name, tensors in parts.items():
        (folder / name).write_bytes(safetensors_bytes(tensors))
    if weight_map is None:
        weight_map = {tensor: name for name, tensors in parts.items() for tensor in tensors}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


ONE, TWO = {"a": np.ones(2, np.float32)}, {"b": np.zeros(3, np.float32)}


def test_shards_read_as_one(tmp_path):
    read = read_all(shard(tmp_path, {"m-1.safetensors": ONE, "m-2.safetensors": TWO}))
    assert set(read) == {"a", "b"}
    np.testing.assert_array_equal(read["a"], ONE["a"])


@pytest.mark.parametrize(
    "weight_map",
    [
        {"a": "m-1.safetensors"},  # b is held and not listed
        {"a": "m-1.safetensors", "b": "m-1.safetensors"},
        {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-2.safetensors"},
        {"a": "m-2.safetensors", "b": "m-1.safetensors"},
        {"a": "missing.safetensors", "b": "m-2.safetensors"},
        {"a": ["m-1.safetensors"], "b": "m-2.safetensors"},
        {},
        ["m-1.safetensors"],
    ],
    ids=str,
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, weight_map):
    parts = {"m-1.safetensors": ONE, "m-2.safetensors": ONE | TWO}
    if len(weight_map) == 1:
        parts["m-1.safetensors"] = ONE | TWO
    shard(tmp_path, parts, weight_map)
    with refused():
        open_safetensors(tmp_path)


FOREIGN_NAMES = [
    "../victim.safetensors",
    "sub/../../victim.safetensors",
    "/etc/hostname",
    "..",
    ".",
    "",
    "..\\victim.safetensors",
    "C:\\victim.safetensors",
    "C:victim",
    "\\\\server\\share\\victim",
    "//server/share/victim",
    "victim\0.safetensors",
    "victim\n",
    "~/victim",
    "con",
    "NUL.safetensors",
    "com1.safetensors",
    "trailing.",
    "stream.safetensors:hidden",
    "-rf",
    "a" * 300,
]


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_s8_shard_names_stay_in_the_folder(tmp_path, name):
    (tmp_path / "victim.safetensors").write_bytes(safetensors_bytes(ONE))
    folder = tmp_path / "preset"
    folder.mkdir()
    shard(folder, {}, {"a": name})
    with refused("file name"), nothing_opened_outside(folder):
        open_safetensors(folder)


def link_out(folder):
    (folder / "m.safetensors").symlink_to(folder.parent / "victim.safetensors")


def link_loop(folder):
    (folder / "m.safetensors").symlink_to("n.safetensors")
    (folder / "n.safetensors").symlink_to("m.safetensors")


def dangling(folder):
    (folder / "m.safetensors").symlink_to("nowhere")


def fifo(folder):
    os.mkfifo(folder / "m.safetensors")


def device(folder):
    (folder / "m.safetensors").symlink_to("/dev/zero")


def directory(folder):
    (folder / "m.safetensors").mkdir()


@pytest.mark.parametrize("make", [link_out, link_loop, dangling, fifo, device, directory])
@pytest.mark.parametrize("whole", [False, True], ids=["shard", "whole"])
def test_s8_links_and_special_files_are_refused(tmp_path, make, whole):
    (tmp_path / "victim.safetensors").write_bytes(safetensors_bytes(ONE))
    folder = tmp_path / "preset"
    folder.mkdir()
    make(folder)
    if whole:
        (folder / "m.safetensors").rename(folder / WHOLE)
    else:
        shard(folder, {}, {"a": "m.safetensors"})
    with refused(), nothing_opened_outside(folder):
        open_safetensors(folder)


def test_s8_links_inside_a_hub_cache_work(tmp_path):
    repository = tmp_path / "models--someone--model"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "deadbeef").write_bytes(safetensors_bytes(ONE))
    (snapshot / WHOLE).symlink_to("../../blobs/deadbeef")
    np.testing.assert_array_equal(read_all(snapshot)["a"], ONE["a"])
    (snapshot / WHOLE).unlink()
    (snapshot / WHOLE).symlink_to("../../../elsewhere")
    (tmp_path / "elsewhere").write_bytes(safetensors_bytes(ONE))
    with refused("inside the preset"):
        open_safetensors(snapshot)
