"""The catalog of presets: complete, consistent, and listed without building anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import SettingError
from workbench.presets import catalog, handles
from workbench.presets.catalog import PresetInfo
from workbench.presets.listing import PresetTable, short

SPEC = Path(__file__).parents[3] / "shared/spec/causal_lm_and_preset_table.txt"
# Where the table contradicts the published configuration: its parameters or layers.
MISTAKEN = {"qwen2.5_7b_en", "gemma2_27b_en", "gemma2_instruct_27b_en", "shieldgemma_27b_en"} | {
    "llama3.2_3b"
}
# What KerasHub has beside the table.
LATER = {"smollm3_3b_en"}


def hub_presets() -> list[PresetInfo]:
    return [preset for preset in catalog.presets() if not preset.embedded]


def spec_rows() -> dict[str, tuple[float, str]]:
    """Name to parameters and description of the table, whose numbers are in M, B or 亿 (1e8)."""
    found = {}
    for line in SPEC.read_text(encoding="utf-8").splitlines():
        row = re.match(r"([a-z][\w.]+) ([\d.]+) ?(M|B|亿) (.+)", line)
        if row:
            size = {"M": 1e6, "B": 1e9, "亿": 1e8}[row[3]]
            found[row[1]] = (float(row[2]) * size, row[4])
    return found


@pytest.mark.skipif(not SPEC.is_file(), reason="the specification is not beside the repository")
def test_the_catalog_is_the_specified_table():
    table = spec_rows()
    assert len(table) == 158
    listed = {preset.name: preset for preset in hub_presets()}
    assert listed.keys() - LATER == table.keys()
    for preset in map(listed.__getitem__, table):
        parameters, text = table[preset.name]
        layers = re.findall(r"(\d+) 层", text)
        if preset.name not in MISTAKEN:
            assert preset.parameters == pytest.approx(parameters, rel=0.02), preset.name
            assert not layers or str(preset.layers) in layers, preset.name


def test_classifiers_are_found_by_name_and_listed_by_their_class():
    names = {preset.name for preset in catalog.classifiers()}
    assert "bert_base_en" in names
    assert catalog.find("bert_base_en").kaggle == "kaggle://keras/bert/keras/bert_base_en/3"
    assert not names & {preset.name for preset in catalog.presets()}
    assert names <= set(wb.models.TextClassifier.presets)
    assert not names & set(wb.models.CausalLM.presets)


def test_there_are_159_and_the_embedded_come_first():
    presets = catalog.presets()
    flags = [preset.embedded for preset in presets]
    assert flags == sorted(flags, reverse=True) and flags[0]
    assert len(hub_presets()) == 159
    assert len({preset.name for preset in presets}) == len(presets)


def test_facts_agree_with_each_other():
    bytes_each = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
    for preset in hub_presets():
        assert preset.bytes_on_disk == preset.parameters * bytes_each[preset.stored_dtype]
        assert preset.description.endswith(".") and preset.description.isascii(), preset.name
        assert preset.licence and preset.context_length is not None
        assert re.fullmatch(r"kaggle://\w+/[\w.-]+/[Kk]eras/[\w.]+/\d+", preset.kaggle)
        origin = preset.hugging_face
        assert origin is None or re.fullmatch(r"hf://[\w-]+/[\w.-]+", origin), preset.name
        assert preset.heads is None or preset.heads % preset.kv_heads == 0


def test_sizes_add_up_to_the_parameters():
    """What the sizes alone account for is never more than the parameters, and most of them."""
    dense = {"LlamaBackbone", "Llama3Backbone", "MistralBackbone", "Qwen3Backbone", "Phi3Backbone"}
    for p in hub_presets():
        if p.backbone in dense:
            attention = 2 * p.hidden_dim * p.head_dim * (p.heads + p.kv_heads)
            layers = p.layers * (attention + 3 * p.hidden_dim * p.intermediate_dim)
            table = p.vocabulary_size * p.hidden_dim
            tables = round((p.parameters - layers) / table)
            assert tables in (1, 2), p.name
            assert layers + tables * table == pytest.approx(p.parameters, rel=1e-3), p.name


def test_gates_are_those_of_the_makers_licences():
    gated = {preset.licence for preset in hub_presets() if preset.gated}
    free = {preset.licence for preset in hub_presets() if not preset.gated}
    assert gated == {"Gemma", "Llama 2"} | {f"Llama {v} Community" for v in ("3", "3.1", "3.2")}
    assert gated & free == {"Llama 2"}, "Vicuna is free to download under Llama 2's licence"
    assert {"Apache-2.0", "MIT", "BigScience RAIL 1.0", "CC-BY-4.0"} <= free
    assert catalog.find("qwen2.5_3b_en").licence == "Qwen Research (non-commercial)"


def test_embedded_presets_tell_what_their_files_say():
    tiny = catalog.find("stories_tiny_en")
    assert tiny.supported and not tiny.gated and tiny.kaggle is None
    assert tiny.parameters == 2_754_816 and tiny.head_dim == 64 and tiny.kv_heads == 1
    assert tiny.bytes_on_disk == (catalog.EMBEDDED / tiny.name / "model.weights.h5").stat().st_size


def test_what_is_missing_is_none():
    assert catalog.find("no_such_preset") is None
    assert catalog.find("t5gemma_ml_ml_ul2").layers is None


def test_classes_list_the_presets_they_load():
    causal = wb.models.CausalLM.presets
    gemma = wb.models.GemmaCausalLM.presets
    assert {"stories_tiny_en", "gemma2_2b_en", "gpt2_base_en"} <= set(causal)
    assert set(gemma) < set(causal) and "gpt2_base_en" not in gemma
    assert "gemma3_4b" in causal
    assert gemma["gemma_2b_en"]["kaggle_handle"].startswith("kaggle://keras/gemma/")
    assert gemma["gemma_2b_en"]["metadata"]["params"] == 2_506_172_416
    assert set(wb.models.GemmaBackbone.presets) == set(gemma)
    assert set(handles.list_presets()) >= set(causal)


def test_listing_imports_neither_keras_nor_jax():
    program = (
        "import sys, workbench as wb\nprint(wb.presets(search='gemma'))\n"
        "assert not {'keras', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gemma2_2b_en" in done.stdout


def test_filters_narrow_the_table():
    found = wb.presets(family="gemma3", instruct=True, max_parameters=4e9)
    names = [preset.name for preset in found]
    assert names == ["gemma3_instruct_270m", "gemma3_instruct_1b", "gemma3_instruct_4b_text"]
    assert [p.name for p in wb.presets(search="CNN bart")] == ["bart_large_en_cnn"]
    assert {p.name for p in wb.presets(modality="speech")} == {
        "digits_tiny",
        "moonshine_tiny_en",
        "moonshine_base_en",
    }
    assert all(p.licence == "MIT" for p in wb.presets(licence="mit"))
    assert len(wb.presets(search="no such thing")) == 0
    with pytest.raises(SettingError, match="Gemma 3"):
        wb.presets(family="Gemma 17")


def test_a_table_is_a_sequence():
    table = wb.presets()
    assert table[0].name == "stories_tiny_en"
    assert [p.name for p in table[1:3]] == [p.name for p in list(table)[1:3]]
    assert isinstance(table[1:3], PresetTable) and len(table[1:3]) == 2


def test_text_lines_up():
    lines = repr(wb.presets(family="GPT-2")).splitlines()
    assert lines[-1] == "5 presets"
    starts = {line.index("GPT-2") for line in lines[1:-1]}
    assert starts == {lines[0].index("family")}
    assert repr(wb.presets()[:0]).splitlines()[-1] == "0 presets"


def test_html_is_escaped_and_follows_the_theme():
    evil = PresetInfo(
        name="<script>a",
        family='"><b>',
        backbone="GPT2Backbone",
        description='" onmouseover="x',
        parameters=1,
        bytes_on_disk=4,
        licence="<i>",
    )
    html = PresetTable([evil])._repr_html_()
    assert "<script" not in html and "<b>" not in html and "<i>" not in html
    assert 'title="&quot; onmouseover=&quot;x"' in html
    assert "var(--jp-ui-font-color1" in html and "1 preset<" in html


@pytest.mark.parametrize(
    ("number", "text"),
    [(2_614_341_888, "2.61 G"), (124_439_808, "124 M"), (999_885_952, "1.00 G"), (12, "12 ")],
)
def test_numbers_are_short(number, text):
    assert short(number) == text
