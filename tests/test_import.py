"""`import workbench` is quick and pulls in nothing heavy."""

from __future__ import annotations

import subprocess
import sys

from patience import SLOW

PROGRAM = """
import sys, time
start = time.perf_counter()
import workbench
seconds = time.perf_counter() - start
heavy = {"keras", "jax", "numpy", "tensorflow", "torch", "ipywidgets"} & set(sys.modules)
assert not heavy, heavy
assert seconds < 0.5 * float(sys.argv[1]), seconds
import workbench as keras_hub
keras_hub.models.CausalLM
foreign = {"tensorflow", "torch"} & set(sys.modules)
assert not foreign, foreign
"""


def test_import_is_light_and_models_need_no_other_framework():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SLOW)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_estimate_of_a_listed_preset_needs_no_keras():
    program = "import sys, workbench as wb\nwb.estimate('gemma2_2b_en', 'bfloat16')\n"
    program += "assert 'keras' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_another_backend_is_refused_by_name():
    program = "import sys, types\nkeras = types.ModuleType('keras')\n"
    program += "keras.config = types.SimpleNamespace(backend=lambda: 'torch')\n"
    program += "sys.modules['keras'] = keras\nimport workbench"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Keras on JAX" in done.stderr and "torch" in done.stderr


def test_unknown_names_say_what_there_is():
    import pytest

    import workbench as wb

    with pytest.raises(AttributeError, match="models"):
        _ = wb.modells
    with pytest.raises(AttributeError, match="GemmaCausalLM"):
        _ = wb.models.GemaCausalLM
