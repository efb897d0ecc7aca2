"""What the recipes of the embedded presets share: an interrupted run, its checkpoint, its steps."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from workbench.recipes import muon, training
from workbench.recipes.muon import Muon
from workbench.recipes.training import Training, rate_at

STEPS = 45
INTERRUPTED = 30


class Quadratic(Training):
    """A matrix and a vector on their way to goals that move with the step."""

    checkpoint_seconds = 40
    numbers = ("seconds", "mean")

    def __init__(self, folder, stop=None):
        self.mean = 1.0
        self.stop = stop
        variables = [jnp.ones((4, 6)), jnp.ones(3)]
        super().__init__(folder, variables, Muon((4, None), 0.05, 0.01))
        self._step = self.compiled(self._losses)

    def _losses(self, variables, goals):
        missed = [((v - goal) ** 2).sum() for v, goal in zip(variables, goals, strict=True)]
        return sum(missed), tuple(missed)

    def advance(self, step, time_used):
        if step == self.stop:
            raise KeyboardInterrupt
        rng = np.random.default_rng(step)
        goals = [rng.normal(size=v.shape).astype("float32") for v in self.variables]
        told = self.descend(self._step, rate_at(step, time_used, 5, 0.5), goals)
        self.mean = 0.9 * self.mean + 0.1 * told[0]
        return told

    def progress(self, step, matrix, vector):
        return f"matrix {matrix:.4f} vector {vector:.4f}"


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock takes a second, so that a step always takes one."""
    seconds = count()
    looks = SimpleNamespace(monotonic=lambda: float(next(seconds)))
    monkeypatch.setattr(training, "time", looks)


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, clock, capsys):
    through = Quadratic(tmp_path / "through")
    through.run(STEPS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["20", "40"]
    assert lines[0].endswith("seconds 20")

    with pytest.raises(KeyboardInterrupt):
        Quadratic(tmp_path / "stopped", stop=INTERRUPTED).run(STEPS)
    resumed = Quadratic(tmp_path / "stopped")
    assert 0 < int(resumed.state.step) < INTERRUPTED
    assert resumed.seconds == int(resumed.state.step)
    resumed.run(STEPS)
    assert int(resumed.state.step) == STEPS
    assert resumed.mean == through.mean
    assert capsys.readouterr().out.splitlines()[-1].startswith("40 matrix ")
    with np.load(through.path) as one, np.load(resumed.path) as other:
        assert sorted(one) == sorted(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_checkpoint_half_written_leaves_the_last_one(tmp_path, monkeypatch):
    run = Quadratic(tmp_path)
    run.seconds = 3.5
    run.save()

    def full_disk(file, **arrays):
        file.write_bytes(b"PK")
        raise OSError("No space left on device")

    monkeypatch.setattr(training.np, "savez", full_disk)
    run.seconds = 9.0
    with pytest.raises(OSError, match="No space"):
        run.save()
    assert Quadratic(tmp_path).seconds == 3.5


def test_the_learning_rate_rises_stays_and_falls():
    rates = [rate_at(step, step / 900, warmup=100, decay=1 / 2) for step in range(900)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[100:450] == [1.0] * 350
    assert rates[675] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(1 / 450)
    assert rate_at(900, 1.0, warmup=100, decay=1 / 2) == 0.0


def test_muon_steps_have_singular_values_near_one():
    matrix = np.random.default_rng(0).normal(size=(24, 8)).astype("float32")
    values = np.linalg.svd(np.asarray(muon.orthogonalized(matrix)), compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_kernels_of_heads_are_matrices_with_the_width_on_one_side():
    shapes = [(96, 4, 24), (4, 24, 96), (128, 3, 14, 14), (96, 192), (2048, 96), (96,)]
    assert [muon.rows_by_shape(shape) for shape in shapes] == [96, 96, 128, 96, None, None]
