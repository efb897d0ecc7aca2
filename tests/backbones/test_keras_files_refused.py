"""Files of weights that are not the model's, and models that no file of Keras's holds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
from saved_kinds import add, make, of_kind, state

from workbench.errors import AdapterError, PresetError, SettingError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of weights for each kind, all of one architecture."""
    folder = tmp_path_factory.mktemp("weights")
    made = {}
    for kind in ("plain", "lora", "merged", "two, none active", "int8"):
        of_kind(kind).save_weights(folder / f"{kind}.weights.h5")
        made[kind] = folder / f"{kind}.weights.h5"
    add(lm := of_kind("int8"), "captain", 0, rank=2)
    lm.save_weights(folder / "int8 lora.weights.h5")
    return made | {"int8 lora": folder / "int8 lora.weights.h5"}


def merged_state():
    lm = of_kind("merged")
    return {v.path: np.asarray(v).tobytes() for v in lm.backbone.weights}


@pytest.mark.parametrize(
    ("kind", "told"), [("lora", "merged into the weights"), ("merged", "merged into")]
)
def test_a_plain_model_takes_the_adapter_into_its_weights_and_says_so(files, kind, told):
    lm = make(seed=5)
    with pytest.warns(UserWarning, match=f"captain.*rank=2.*{told}"):
        lm.load_weights(files[kind])
    assert {v.path: np.asarray(v).tobytes() for v in lm.backbone.weights} == merged_state()
    assert not lm.adapters


def test_adapters_that_were_not_at_work_are_not_merged(files):
    lm = make(seed=5)
    with pytest.warns(UserWarning, match="not read.*captain.*robot"):
        lm.load_weights(files["two, none active"])
    assert state(lm) == state(of_kind("plain"))


def test_an_adapter_that_changes_nothing_yet_may_be_there_before_the_weights(files):
    lm = make(seed=5)
    lm.backbone.enable_lora(4)
    lm.load_weights(files["plain"])
    lm.adapters.remove("default")
    assert state(lm) == state(of_kind("plain"))


def model(kind, change):
    def made():
        lm = of_kind(kind, seed=5)
        change(lm)
        return lm

    return made


def nothing(lm):
    pass


CAPTAIN = {"rank": 2, "alpha": 6}
REFUSED = {
    "no adapter for a trained one": ("plain", model("lora", nothing), "use\\(None\\)"),
    "no adapter for a merged one": ("plain", model("merged", nothing), "unmerge\\(\\) and"),
    "another name": ("lora", model("plain", lambda lm: add(lm, "robot", 0, **CAPTAIN)), "'robot'"),
    "another rank": ("lora", model("plain", lambda lm: add(lm, "captain", 0, rank=3)), "rank=3"),
    "other targets": (
        "lora",
        model("plain", lambda lm: add(lm, "captain", 0, targets=["key"], **CAPTAIN)),
        "'key'",
    ),
    "an adapter for integers": ("int8 lora", model("int8", nothing), "merged into int8 weights"),
    "floats for integers": ("plain", model("int8", nothing), "int8 .*got"),
    "integers for floats": ("int8", model("plain", nothing), "floats .*got"),
    "int8 for int4": ("int8", lambda: quantized("int4"), "kernel_zero"),
    "another width": ("plain", lambda: make(intermediate_dim=8), "mlp/gate"),
    "more layers": ("plain", lambda: make(num_layers=2), "decoder_block_1"),
    "another family": ("plain", lambda: make(tied=True), "others"),
}


def quantized(mode):
    lm = make(seed=5)
    lm.quantize(mode)
    return lm


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_does_not_fit_is_refused_by_name_and_changes_nothing(files, name):
    kind, made, told = REFUSED[name]
    lm = made()
    before = state(lm)
    with pytest.raises((AdapterError, PresetError), match=told) as refused:
        lm.load_weights(files[kind])
    assert len(str(refused.value)) <= 2000
    assert state(lm) == before


def test_an_adapter_is_refused_even_where_mismatches_are_skipped(files):
    lm = quantized("int8")
    before = state(lm)
    with pytest.raises(AdapterError), pytest.warns(UserWarning, match="could not be loaded"):
        lm.load_weights(files["int8 lora"], skip_mismatch=True)
    assert state(lm) == before


def damage(file):
    """Take away or change what belongs to an adapter."""
    group = file["layers/llama_backbone/vars"]
    for name in [name for name in group if name != "adapters"]:
        del group[name]


def hide_header(file):
    del file["layers/llama_backbone/vars/adapters"]


def spoil_header(file):
    file["layers/llama_backbone/vars/adapters"][0] = ord("[")


@pytest.mark.parametrize("reader", ["lora", "plain"])
@pytest.mark.filterwarnings("ignore:load_weights. 'captain'")
def test_half_an_update_is_refused(tmp_path, reader):
    path = tmp_path / "lm.weights.h5"
    of_kind("lora").save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/llama_backbone/layers/sequential_block/attention/query/vars/lora_b"]
    lm = of_kind(reader, seed=9)
    before = state(lm)
    with pytest.raises(PresetError, match="attention/query: expected"):
        lm.load_weights(path)
    assert state(lm) == before


@pytest.mark.parametrize("act", [damage, hide_header, spoil_header])
def test_a_damaged_file_is_refused(tmp_path, act):
    path = tmp_path / "lm.weights.h5"
    lm = of_kind("two, none active")
    lm.save_weights(path)
    with h5py.File(path, "r+") as file:
        act(file)
    other = of_kind("two, none active", seed=9)
    before = state(other)
    with pytest.raises(PresetError, match=r"lm\.weights\.h5"):
        other.load_weights(path)
    assert state(other) == before


def test_the_old_form_of_keras_files_is_refused_when_written_and_read(tmp_path):
    lm = make()
    for call in (lm.save, lm.load_weights):
        with pytest.raises(PresetError, match=r"\.keras"):
            call(tmp_path / "lm.h5")
    callback = keras.callbacks.ModelCheckpoint(str(tmp_path / "lm.h5"))
    callback.set_model(lm)
    with pytest.raises(PresetError, match=r"\.keras"):
        callback.on_epoch_end(0, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", [lambda lm: lm, lambda lm: lm.backbone], ids=["task", "backbone"])
def test_cloning_layer_by_layer_is_refused(part):
    model = part(make())
    with pytest.raises(SettingError, match="deepcopy"):
        keras.models.clone_model(model)
    fresh = type(model).from_config(model.get_config())
    assert [w.shape for w in fresh.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_what_was_saved_before_outlives_a_save_that_fails(tmp_path, ending):
    lm, path = of_kind("lora"), tmp_path / f"lm{ending}"
    save = lm.save_weights if ending == ".weights.h5" else lm.save
    save(path)
    before = path.read_bytes()
    next(iter(lm.adapters.live.values())).in_use.b.value.delete()  # as a broken change leaves it
    with pytest.raises(PresetError, match="interrupted"):
        save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.stat().st_size] == [path.name]


def test_a_sampler_that_is_a_function_is_refused_when_written(tmp_path):
    lm = make()
    lm.compile(sampler=lambda *arguments, **settings: None)
    with pytest.raises(SettingError, match="sampler"):
        lm.save(tmp_path / "lm.keras")


PEER = """
import sys
import keras, keras_hub
settings = {"vocabulary_size": 257, "num_layers": 1, "hidden_dim": 16, "intermediate_dim": 16}
for lora in (False, True):
    for path in sys.argv[1:]:
        backbone = keras_hub.models.LlamaBackbone(
            num_query_heads=2, num_key_value_heads=1, **settings
        )
        if lora:
            backbone.enable_lora(2)
        try:
            keras_hub.models.LlamaCausalLM(backbone, None).load_weights(path)
        except Exception:
            print("refused")
        else:
            print("read", path)
"""


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub not installed")
def test_keras_hub_refuses_these_files(files):
    done = subprocess.run(
        [sys.executable, "-c", PEER, *map(str, files.values())],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["refused"] * 2 * len(files)
