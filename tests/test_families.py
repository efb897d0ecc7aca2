"""The table of families: what it names is there, and what is there it names."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

import workbench as wb
from workbench import families
from workbench.errors import AdapterError, PresetError, SettingError
from workbench.families.names import CLASSES, NAMES, home
from workbench.families.registry import families as all_families
from workbench.families.registry import family_of

FOLDER = Path(families.__file__).parent


@pytest.mark.parametrize("module", NAMES)
def test_a_line_names_what_its_file_has(module):
    file = importlib.import_module(home(module))
    for name in NAMES[module]:
        assert getattr(file, name).__module__.startswith(home(module))
        assert getattr(wb.models, name) is getattr(file, name)
    public = {cls.__name__ for family in file.FAMILIES for cls in family.classes}
    assert public <= set(NAMES[module])


def test_every_family_has_a_line():
    named = {path.stem for path in FOLDER.glob("*.py") if "\nFAMILIES = " in path.read_text()}
    assert named == NAMES.keys()
    assert list(NAMES) == sorted(NAMES)


def test_no_class_is_named_twice():
    assert len(CLASSES) == sum(map(len, NAMES.values()))
    assert len({family.backbone.__name__ for family in all_families()}) <= len(CLASSES)


def test_a_family_without_keras_hubs_layout_says_so(tmp_path):
    bare = replace(family_of(wb.models.Olmo2Backbone), keras_hub_rules=None)
    with pytest.raises(PresetError, match="Olmo2Backbone has no place in KerasHub's layout"):
        _ = bare.keras_hub


def test_lora_weights_of_a_family_that_keras_hub_lacks_are_refused(tmp_path):
    backbone = wb.models.Olmo2Backbone(11, 1, 2, 8, 8, 1)
    backbone.enable_lora(1)
    with pytest.raises(AdapterError, match=r"it has no Olmo2Backbone; `adapters\.save`"):
        backbone.save_lora_weights(tmp_path / "x.lora.h5")
    assert not list(tmp_path.iterdir())


SMOLLM3 = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_dim": 8,
    "intermediate_dim": 8,
    "layer_norm_epsilon": 1e-6,
    "layer_types": ["full_attention"],
    "max_position_embeddings": 8,
    "mlp_bias": False,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_layers": 1,
    "partial_rotary_factor": 1.0,
    "rope_layer_enabled_list": [True],
    "rope_theta": 10_000.0,
    "vocabulary_size": 11,
}


@pytest.mark.parametrize(
    "changed",
    [
        {"attention_bias": True},
        {"layer_types": ["sliding_attention"]},
        {"mlp_bias": True},
        {"partial_rotary_factor": 0.5},
        {"rope_layer_enabled_list": [True, False]},
    ],
    ids=str,
)
def test_what_no_smollm3_has_is_refused_by_name(changed):
    with pytest.raises(SettingError, match=f"SmolLM3Backbone: {next(iter(changed))}: expected"):
        wb.models.SmolLM3Backbone(**SMOLLM3 | changed)


@pytest.mark.parametrize(
    "changed", [{"activation": "relu"}, {"rotary_percentage": 1.5}, {"rotary_percentage": 0.75}]
)
def test_what_no_gpt_neo_x_has_is_refused_by_name(changed):
    named = {"activation": "activation", "rotary_percentage": "rotary_percentage|Rope: turned"}
    with pytest.raises(SettingError, match=named[next(iter(changed))]):
        wb.models.GPTNeoXBackbone(11, 1, 2, 8, 8, **changed)
