"""The table of settings, and what is derived from it: constructors, steps, panels, the command line
and the README."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from workbench.widgets.compare.base import CompareBase
from workbench.widgets.generate import GeneratePanel
from workbench.widgets.inspect import InspectPanel
from workbench.widgets.inspect import settings as inspect_settings
from workbench.widgets.listen import ListenPanel
from workbench.widgets.look import LookPanel
from workbench.widgets.shared import settings as panel_settings

from workbench import cli, samplers
from workbench.errors import SettingError
from workbench.samplers.settings import CUTS, DRAWING, SAMPLERS, SEARCHING, SEED, SETTINGS
from workbench.samplers.step_settings import StepSettings

README = Path(__file__).parents[2] / "README.md"
CLASSES = {name: getattr(samplers, sampler.class_name) for name, sampler in SAMPLERS.items()}


def readme_row(setting):
    """A setting as the README lists it, by the argument of samplers that it is."""
    name = f"`{setting.keyword}`" + (f" ({setting.label.lower()})" if setting.argument else "")
    if setting is SEED or setting.name == "top_k":
        off = "`None`"
    else:
        off = "–" if setting.off is None else f"{setting.off:g}"
    return f"| {name} | {setting.expected} | {off} | {setting.does} |"


def readme_table():
    """The settings of drawing, as the README lists them."""
    head = ["| Setting | Values | Off | What it does |", "|---|---|---|---|"]
    return "\n".join([*head, *map(readme_row, (*DRAWING, SEED))])


def test_the_table_is_read_without_jax_and_keras():
    program = "import workbench.samplers.settings, sys; print({'jax', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_public_names_are_those_that_are_found():
    found = {name for names in samplers._MODULES.values() for name in names}
    assert found == set(samplers.__all__)
    assert all(getattr(samplers, name).__name__ == name for name in samplers.__all__)
    with pytest.raises(AttributeError, match="TopPSampler"):
        _ = samplers.TopQSampler


def test_the_readme_has_the_table():
    assert readme_table() in README.read_text()


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_row_fits_itself(setting):
    """Defaults, starts and sliders are within the bounds; the value that is off need not be."""
    if setting.default is not None:
        assert setting.check(setting.default) == setting.default
    if setting.start is not None:
        assert setting.check(setting.start) == setting.start
        low, reach = setting.slider
        assert low <= setting.start <= reach
        assert setting.check(type(setting.start)(low)) == low
    if setting.off is not None:
        assert setting.with_off().check(setting.off) == setting.off
    with pytest.raises(SettingError, match=f"^{setting.name}: expected "):
        setting.check("much")


@pytest.mark.parametrize(("name", "cls"), CLASSES.items(), ids=CLASSES)
def test_constructors_have_the_defaults_of_the_table(name, cls):
    rows = {setting.keyword: setting for setting in SETTINGS.values()}
    for argument, parameter in inspect.signature(cls).parameters.items():
        if parameter.default is parameter.empty:  # of `**common`: the base class has the default
            continue
        off = name == "top_p" and argument == "k"  # which only narrows the top-p sampler
        assert parameter.default == (None if off else rows[argument].default)
    assert {SETTINGS[control].keyword for control in SAMPLERS[name].controls} <= set(
        inspect.signature(cls).parameters
    )


def test_the_docstrings_say_the_bounds():
    """Of every setting that a class documents among its arguments."""
    said = {
        samplers.Sampler: ("temperature", "repetition_penalty"),
        samplers.BeamSampler: ("num_beams",),
        samplers.ContrastiveSampler: ("top_k", "alpha"),
    }
    for cls, names in said.items():
        words = " ".join(cls.__doc__.split())
        for name in names:
            setting = SETTINGS[name]
            assert f"{setting.keyword}: {setting.expected}" in words, (cls, name)


def test_the_step_takes_the_drawing_settings():
    assert StepSettings._fields == tuple(setting.name for setting in DRAWING)
    assert StepSettings._fields[:4] == CUTS
    for setting, value in zip(DRAWING, StepSettings(), strict=True):
        assert value == (setting.default if setting.off is None else setting.off)
    assert not {s.name for s in SEARCHING} & set(StepSettings._fields)


def test_the_command_line_has_an_option_for_each(capsys):
    with pytest.raises(SystemExit):
        cli.main(["generate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for setting in (*DRAWING, SEED):
        assert f"--{setting.name.replace('_', '-')} N {setting.expected};" in text


@pytest.mark.parametrize("module", [panel_settings, inspect_settings])
def test_panels_draw_what_the_table_says(module):
    form = module.form_of(None)
    for drawn in form["controls"]:
        setting = SETTINGS.get(drawn["name"])
        if setting is not None:
            assert (drawn["label"], drawn["step"]) == (setting.label, setting.step)
            assert drawn["reach"] == setting.slider[1]
            assert drawn["low"] in (setting.slider[0], setting.off)


@pytest.mark.parametrize("panel", [GeneratePanel, LookPanel, ListenPanel, InspectPanel])
def test_docstrings_of_panels_name_every_setting(panel):
    module = inspect_settings if panel is InspectPanel else panel_settings
    traits = panel.class_trait_names(sync=True)
    for name in module.DEFAULTS:
        assert f"`{name}`" in panel.__doc__ and name in traits


def test_a_comparison_names_the_settings_of_a_column():
    for control in SAMPLERS["top_p"].controls:
        assert f"`{control}`" in CompareBase.set_sampler.__doc__
