"""S1, S5, S8: Keras weight files, and what HDF5 can do beyond them."""

from __future__ import annotations

import json
import tracemalloc

import h5py
import ml_dtypes
import numpy as np
import pytest
from preset_files import nothing_opened_outside, refused

from workbench.errors import PresetError
from workbench.formats.hdf5 import INDEX, WHOLE, open_hdf5
from workbench.formats.hdf5_writer import write_sharded, write_whole

NAME = "layers/dense/vars/0"


def tensors(kind=np.float32):
    noise = np.random.default_rng(0)
    shapes = {NAME: (3, 4), "layers/dense/vars/1": (4,), "layers/norm/vars/0": (2, 2, 2)}
    return {name: noise.standard_normal(shape).astype(kind) for name, shape in shapes.items()}


def read_all(folder):
    source = open_hdf5(folder)
    try:
        return {name: source.read(name) for name in source.names()}
    finally:
        source.close()


def assert_same(read, expected):
    assert read.keys() == expected.keys()
    for name, values in expected.items():
        assert read[name].dtype == values.dtype
        assert read[name].shape == values.shape
        assert read[name].tobytes() == values.tobytes()


@pytest.mark.parametrize("kind", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_is_written_is_read(tmp_path, kind):
    write_whole(tmp_path, tensors(kind).items())
    assert_same(read_all(tmp_path), tensors(kind))
    with h5py.File(tmp_path / WHOLE) as h5:
        stored = h5[NAME].dtype
    assert stored == ("V2" if kind is ml_dtypes.bfloat16 else kind)


def test_scalars_and_views_are_written_as_they_are(tmp_path):
    values = {"a/vars/0": np.float32(3).reshape(()), "b/vars/0": np.arange(6.0, dtype="f4")[::2]}
    write_whole(tmp_path, values.items())
    assert_same(
        read_all(tmp_path),
        {k: np.ascontiguousarray(v) for k, v in values.items()} | {"a/vars/0": values["a/vars/0"]},
    )


@pytest.mark.parametrize("limit", [48, 64, 80, 1000])
def test_shards_hold_no_more_than_allowed_and_read_as_one(tmp_path, limit):
    write_sharded(tmp_path, tensors().items(), limit)
    assert_same(read_all(tmp_path), tensors())
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["metadata"]["total_size"] == sum(v.nbytes for v in tensors().values())
    for path in tmp_path.glob("*.h5"):
        assert 0 < bytes_of_tensors(path) <= limit


def bytes_of_tensors(path):
    found = []
    with h5py.File(path) as h5:
        h5.visititems(lambda _, o: found.append(o) if isinstance(o, h5py.Dataset) else None)
        return sum(dataset.nbytes for dataset in found)


def test_a_tensor_larger_than_a_shard_is_an_error(tmp_path):
    with refused("max_shard_size"):
        write_sharded(tmp_path, tensors().items(), 40)


def test_the_layout_of_keras_2_13_is_read(tmp_path):
    with h5py.File(tmp_path / WHOLE, "w") as h5:
        h5["_layer_checkpoint_dependencies/dense/vars/0"] = np.ones(2, np.float32)
    assert list(read_all(tmp_path)) == [NAME]


def soft_link(h5, folder):
    h5["other"] = np.ones(3, np.float32)
    h5["layers/dense/vars/0"] = h5py.SoftLink("/other")


def soft_link_of_a_group(h5, folder):
    h5["other/vars/0"] = np.ones(3, np.float32)
    h5["layers/dense"] = h5py.SoftLink("/other")


def external_link(h5, folder):
    h5[NAME] = h5py.ExternalLink("../victim.h5", "/secret")


def external_link_of_a_group(h5, folder):
    h5["layers/dense/vars"] = h5py.ExternalLink(str(folder.parent / "victim.h5"), "/")


def external_link_mid_path(h5, folder):
    h5["layers"] = h5py.ExternalLink("../victim.h5", "/")


def external_storage(h5, folder):
    place = [(str(folder.parent / "victim.h5"), 0, 12)]
    h5.create_dataset(NAME, (3,), "f4", external=place)


def virtual_dataset(h5, folder):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(folder.parent / "victim.h5"), "secret", (3,))
    h5.create_virtual_dataset(NAME, layout)


def hard_link_cycle(h5, folder):
    h5.create_group("layers/dense")
    h5["layers/dense/again"] = h5["layers"]


def two_names_for_one(h5, folder):
    h5[NAME] = np.ones(3, np.float32)
    h5["layers/dense/vars/1"] = h5[NAME]


def variable_length(h5, folder):
    h5.create_dataset(NAME, (3,), h5py.vlen_dtype(np.float32))


def strings(h5, folder):
    h5.create_dataset(NAME, data=["a", "b"], dtype=h5py.string_dtype())


def compound(h5, folder):
    h5.create_dataset(NAME, (3,), np.dtype([("a", "f4"), ("b", "f4")]))


def array_type(h5, folder):
    h5.create_dataset(NAME, (3,), np.dtype(("f4", (2**20,))))


def references(h5, folder):
    h5.create_dataset(NAME, (1,), h5py.ref_dtype)


def bomb_chunked(h5, folder):
    h5.create_dataset(NAME, (1063004405,), "f4", chunks=(2**20,))


def bomb_compressed(h5, folder):
    h5.create_dataset(NAME, data=np.zeros(2**16, "f4"), compression="gzip")


def bomb_never_allocated(h5, folder):
    h5.create_dataset(NAME, (1063004405,), "f4")


def empty_dataspace(h5, folder):
    h5[NAME] = h5py.Empty("f4")


def named_type(h5, folder):
    h5["layers/type"] = np.dtype("f4")


def deep_groups(h5, folder):
    h5.create_group("a/" * 100)


CRAFTED = [
    soft_link,
    soft_link_of_a_group,
    external_link,
    external_link_of_a_group,
    external_link_mid_path,
    external_storage,
    virtual_dataset,
    hard_link_cycle,
    two_names_for_one,
    variable_length,
    strings,
    compound,
    array_type,
    references,
    bomb_chunked,
    bomb_compressed,
    bomb_never_allocated,
    empty_dataspace,
    named_type,
    deep_groups,
]


@pytest.mark.parametrize("make", CRAFTED)
def test_s5_crafted_files_are_refused_each_with_its_reason(tmp_path, make):
    with h5py.File(tmp_path / "victim.h5", "w") as victim:
        victim["secret"] = np.full(3, 7, np.float32)
        victim["vars/0"] = np.full(3, 7, np.float32)
    folder = tmp_path / "preset"
    folder.mkdir()
    with h5py.File(folder / WHOLE, "w") as h5:
        make(h5, folder)
    tracemalloc.start()
    with refused("expected") as caught, nothing_opened_outside(folder):
        open_hdf5(folder)
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()
    assert "variables" not in str(caught.value)


def test_two_datasets_on_the_same_bytes_are_refused(tmp_path):
    write_whole(tmp_path, {f"a/vars/{i}": np.full(1000, i, "f4") for i in range(2)}.items())
    with h5py.File(tmp_path / WHOLE) as h5:
        first, second = (h5[f"a/vars/{i}"].id.get_offset() for i in range(2))
    data = (tmp_path / WHOLE).read_bytes()
    pointer = second.to_bytes(8, "little")
    assert data.count(pointer) == 1
    (tmp_path / WHOLE).write_bytes(data.replace(pointer, first.to_bytes(8, "little")))
    with refused("bytes of its own"):
        open_hdf5(tmp_path)


def test_s1_truncated_files_are_refused(tmp_path):
    write_whole(tmp_path, tensors().items())
    data = (tmp_path / WHOLE).read_bytes()
    for length in [*range(0, 96, 8), *np.linspace(96, len(data) - 1, 40, dtype=int)]:
        (tmp_path / WHOLE).write_bytes(data[:length])
        with pytest.raises(PresetError):
            read_all(tmp_path)


@pytest.mark.parametrize("name", ["../a.h5", "/etc/hostname", "a/b.h5", "..", "nul", "a\\b.h5", 3])
def test_s8_shard_names_stay_in_the_folder(tmp_path, name):
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    with refused("file name"), nothing_opened_outside(tmp_path):
        open_hdf5(tmp_path)


def change_index(folder, change):
    write_sharded(folder, tensors().items(), 48)
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.clear(),
        lambda m: m.pop("/layers/norm/vars"),
        lambda m: m.update({"/layers/norm/vars": "model_00000.weights.h5"}),
        lambda m: m.update({"/layers/norm/vars": "model_00009.weights.h5"}),
    ],
    ids=["empty", "unlisted", "wrong shard", "missing shard"],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, change):
    change_index(tmp_path, change)
    with refused():
        open_hdf5(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    for name in ("model_00000.weights.h5", "model_00001.weights.h5"):
        with h5py.File(tmp_path / name, "w") as h5:
            h5[NAME] = np.ones(2, "f4")
    both = ["model_00000.weights.h5", "model_00001.weights.h5"]
    index = {"weight_map": {"/layers/dense/vars": both}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    with refused("one file"):
        open_hdf5(tmp_path)
