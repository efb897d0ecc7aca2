"""The settings of a training run: what is refused, what is filled in, and the learning rate."""

import math

import numpy as np
import pytest

from workbench.errors import SettingError
from workbench.tuning.settings import TuneSettings

IMPOSSIBLE = {
    "rank": [0, -1, 2.0, True, "8", None, 2**31, 10**5000],
    "alpha": [0, -1, float("nan"), float("inf"), 1e39, "16", True],
    "dropout": [-0.1, 1, 1.5, float("nan"), None],
    "targets": ["query", (), ("query", "query"), ("",), (1,), 3],
    "learning_rate": [0, -1e-3, float("nan"), 1e39, None, "1e-3"],
    "schedule": ["sine", None, 1],
    "warmup_steps": [-1, 0.5],
    "steps": [0, -3, 1.5],
    "epochs": [0, -1, float("inf")],
    "batch_size": [0, True],
    "accumulate": [0],
    "length": [1, 0],
    "packing": [1, None],
    "weight_decay": [-0.1, float("nan")],
    "clip_norm": [0, -1],
    "remat": ["yes"],
    "seed": [-1, 0.5, None],
    "validation_every": [-1],
    "sample_every": [-1],
    "sample_prompts": [("a", ""), (3,), 3, None],
    "sample_tokens": [0],
    "save_every": [-1],
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_settings_are_refused_by_name(name):
    for value in IMPOSSIBLE[name]:
        with pytest.raises(SettingError, match=f"training: {name}: expected .*got") as refusal:
            TuneSettings.of({name: value})
        assert len(str(refusal.value)) < 400


def test_every_setting_is_checked():
    assert set(IMPOSSIBLE) == set(TuneSettings.__dataclass_fields__)


def test_unknown_names_and_contradictions_are_refused():
    with pytest.raises(SettingError, match=r"learningrate.*learning_rate"):
        TuneSettings.of({"learningrate": 1e-3})
    with pytest.raises(SettingError, match="one of the two"):
        TuneSettings(steps=3, epochs=1)
    with pytest.raises(SettingError, match="at most the 3 steps"):
        TuneSettings(steps=3, warmup_steps=4)


def test_values_become_plain_python():
    settings = TuneSettings(
        rank=np.int64(4), learning_rate=np.float32(0.5), targets=["query"], sample_prompts="Once"
    )
    assert (settings.rank, settings.learning_rate) == (4, 0.5)
    assert type(settings.rank) is int and type(settings.learning_rate) is float
    assert TuneSettings(targets="all").targets == "all"
    assert settings.targets == ("query",) and settings.sample_prompts == ("Once",)


@pytest.mark.parametrize(
    ("given", "steps"),
    [({}, 10), ({"epochs": 3}, 30), ({"epochs": 0.01}, 1), ({"accumulate": 4, "epochs": 2}, 5),
     ({"steps": 7}, 7)],
)  # fmt: skip
def test_steps_follow_from_the_epochs(given, steps):
    planned = TuneSettings(**given).planned(batches_per_epoch=10)
    assert planned.steps == steps and planned.epochs is None
    assert planned.planned(99) == planned


def test_validation_and_samples_come_about_ten_times():
    planned = TuneSettings(steps=200).planned(50)
    assert (planned.validation_every, planned.sample_every, planned.warmup_steps) == (20, 20, 10)
    planned = TuneSettings(steps=200, validation_every=0).planned(50)
    assert (planned.validation_every, planned.sample_every) == (0, 20)
    assert TuneSettings(steps=3).planned(50).validation_every == 1


def test_the_learning_rate_rises_and_falls():
    settings = TuneSettings(steps=100, warmup_steps=10, learning_rate=2.0)
    rates = [settings.learning_rate_at(step) for step in range(100)]
    np.testing.assert_allclose(rates[:11], [*np.arange(1, 11) / 5, 2.0])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(1.0) and 0 < rates[-1] < 0.01
    assert rates[40] == pytest.approx(1 + math.cos(math.pi / 3))


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("constant", 1.0)])
def test_other_schedules(schedule, half):
    settings = TuneSettings(steps=10, warmup_steps=0, learning_rate=1.0, schedule=schedule)
    assert settings.learning_rate_at(0) == 1.0
    assert settings.learning_rate_at(5) == pytest.approx(half)


def test_the_learning_rate_of_unplanned_settings_is_refused():
    with pytest.raises(SettingError, match="planned"):
        TuneSettings(epochs=1).learning_rate_at(0)
