"""Training with Keras's callbacks that save: a run that broke off goes on as if it had not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from saved_kinds import of_kind, state

pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
IDS = np.arange(16).reshape(2, 8) * 7 % 257
INPUTS = {"token_ids": IDS, "padding_mask": np.ones_like(IDS)}


class BreaksOff(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def fit(lm, *callbacks):
    settings = {"epochs": 4, "shuffle": False, "verbose": 0, "callbacks": [*callbacks]}
    lm.fit(INPUTS, np.roll(IDS, -1, axis=1), **settings)


def whole(lm):
    return state(lm), [np.asarray(v.value).tobytes() for v in lm.optimizer.variables]


def test_a_run_of_an_adapter_goes_on_in_another_model_and_its_best_weights_come_back(tmp_path):
    unbroken, broken, resumed = (of_kind("lora", seed) for seed in (0, 0, 9))
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.weights.h5", save_weights_only=True, save_freq="epoch"
    )
    for lm in (unbroken, broken, resumed):
        lm.compile(keras.optimizers.Adam(1e-2))
    fit(unbroken, best)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, keras.callbacks.BackupAndRestore(tmp_path / "backup"), BreaksOff())
    fit(resumed, keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert whole(resumed) == whole(unbroken)
    after = whole(unbroken)
    for epoch, expected in ((2, whole(broken)), (4, after)):
        unbroken.load_weights(tmp_path / f"{epoch}.weights.h5")
        assert whole(unbroken) == expected
    assert after != whole(broken)


def test_a_list_of_callbacks_that_keras_has_made_is_told():
    lm, heard = of_kind("lora", 0), []
    hears = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(epoch))
    made = keras.callbacks.CallbackList([hears], add_history=True, model=lm)
    lm.fit(INPUTS, np.roll(IDS, -1, axis=1), epochs=2, verbose=0, callbacks=made)
    assert heard == [0, 1]
