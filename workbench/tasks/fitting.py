"""`fit`, `evaluate` and `predict` on what users have: texts, pairs, pictures, datasets, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from workbench.backbones.tables import admit_batch
from workbench.backbones.training_claims import trains_alone
from workbench.data.examples import Examples
from workbench.data.reading import Frame, TableOfColumns, read_examples
from workbench.errors import SettingError
from workbench.interrupts import held
from workbench.kinds import NOTHING, RATE, integer
from workbench.preprocessing.columns import columns_of, count
from workbench.preprocessing.preprocessor import Preprocessor
from workbench.tasks.feeding import (
    Elements,
    Parts,
    Prepare,
    PreparedDataset,
    Samples,
    is_arrays,
    is_dataset,
    keras_reads,
    packed,
    parts_of,
    prepared,
)
from workbench.tasks.learnt import Tally, TellsUnlearnt
from workbench.tasks.step_memory import admit_optimizer, admit_step
from workbench.tasks.trainable import check_trainable
from workbench.tasks.whole_steps import WholeSteps


class FitsRawData(WholeSteps):
    """The training calls of `keras.Model`, which preprocess batch by batch.

    With a preprocessor, inputs may be

    - in memory: texts in a list, a tuple or an array; pairs of prompt and response, of which the
      response is learnt; dicts; a dict of columns such as `{"prompts": [...], "responses": [...]}`,
      or those the preprocessor names;
    - whatever `workbench.tuning.read_examples` reads: a `pathlib.Path` to a file, a Hugging Face
      dataset, a pandas data frame, or `Examples`;
    - batches of these, from anything that can be iterated: a `tf.data.Dataset`, a generator, a
      `keras.utils.PyDataset`. An element that is a tuple holds inputs, labels and sample weights;
    - arrays, alone in a dict with token ids, or in batches: they pass through unchanged.

    `task.preprocessor = None` takes arrays alone, in all forms that Keras reads. Ids that the model
    has no row for are refused, and padding that it has no row for becomes 0. Samples of which
    nothing is learnt are counted in a warning after the first pass.

    Each of these calls takes the weights out of the model while it works: beside a training on the
    same backbone it is refused at once, with a `ModelInTrainingError`.
    """

    preprocessor: Preprocessor | None

    def preprocess(self, x: Any, y: Any = None, sample_weight: Any = None) -> Parts:
        """Arrays for training from a batch as the preprocessor reads it; arrays pass through
        unchanged."""
        if self.preprocessor is None or is_arrays(x):
            return x, y, sample_weight
        return self.preprocessor(x, y, sample_weight)

    @trains_alone
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        validation_data: Any = None,
        validation_split: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.fit`, on raw data too when a preprocessor is attached.

        Args:
            x: what the class says.
            y: labels, where neither `x` nor the preprocessor makes them.
            batch_size: samples of a batch, 32 where it is None; datasets have their own.
            sample_weight: a number for each label, or for each sample.
            validation_data: as `x`, or a tuple of inputs, labels and weights.
            validation_split: the share of samples in memory, the last ones, that is not learnt.
            kwargs: the other arguments of `keras.Model.fit`. `shuffle` is True where samples are
                in memory.

        Raises:
            PromptError: a sample is not in a batch, cannot be read, or has a token that the model
                has not.
            SettingError: an argument does not go with the data, or all weights are frozen.
            DataError: nothing is learnt of any sample.
            AdapterError: an adapter is merged, or there are some and none is active.
            MemoryTooSmallError: a step would not fit into the memory.

        An interrupt ends it after the step at work, whose values the model then has.
        """
        (RATE | NOTHING).check("validation_split", validation_split)
        integer(1).check("epochs", kwargs.get("epochs", 1))
        check_trainable(self, "fit")
        trained, tested = Tally("fit"), Tally("validation_data")
        shuffle = kwargs.pop("shuffle", None)
        parts: Any = (x, y, sample_weight)
        if validation_split and validation_data is None:
            samples = self._samples(parts, tally=trained)
            if samples is not None:
                parts, validation_data = samples.split(validation_split)
                validation_split = None
        if validation_data is not None:
            size = kwargs.get("validation_batch_size")
            kwargs["validation_data"] = self._held_out(validation_data, size, batch_size, tested)
        fed = self._fed(parts, batch_size, shuffle, trained, kwargs.get("class_weight"))
        self._renew_optimizer()
        admit_optimizer(self)
        told = _with(kwargs.pop("callbacks", None), TellsUnlearnt(trained, tested))
        split = validation_split or 0.0
        return super().fit(**fed, validation_split=split, callbacks=told, **kwargs)

    @trains_alone
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.evaluate`, on what `fit` takes."""
        if kwargs.get("_use_cached_eval_dataset"):  # fit's own call: it has prepared the data
            return super().evaluate(x, y, batch_size, sample_weight=sample_weight, **kwargs)
        tested = Tally("evaluate")
        fed = self._unshuffled((x, y, sample_weight), batch_size, tested)
        admit_optimizer(self)  # Keras makes its state here, too
        told = _with(kwargs.pop("callbacks", None), TellsUnlearnt(None, tested))
        return super().evaluate(**fed, callbacks=told, **kwargs)

    @trains_alone
    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """`keras.Model.predict`, on what `fit` takes as inputs."""
        fed = self._unshuffled((x, None, None), batch_size)
        return super().predict(fed["x"], batch_size=fed.get("batch_size"), **kwargs)

    @trains_alone
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """`keras.Model.train_on_batch`, on a batch of raw data or of arrays."""
        check_trainable(self, "train_on_batch")
        self._renew_optimizer()
        admit_optimizer(self)
        batch = self._batch(x, y, sample_weight)
        Tally("train_on_batch").see_all(batch[2])
        return super().train_on_batch(*batch, **kwargs)

    @trains_alone
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`, on a batch of raw data or of arrays."""
        batch = self._batch(x, y, sample_weight)
        Tally("test_on_batch").see_all(batch[2])
        return super().test_on_batch(*batch, **kwargs)

    @trains_alone
    def predict_on_batch(self, x: Any) -> Any:
        """`keras.Model.predict_on_batch`, on a batch of raw data or of arrays."""
        return super().predict_on_batch(self._batch(x, None, None)[0])

    def train_step(self, state: Any, data: Any) -> Any:
        """Keras's step of training, if there is memory for it."""
        admit_step(self, data, state[0])
        return super().train_step(state, data)

    def test_step(self, state: Any, data: Any) -> Any:
        """Keras's step of an evaluation, if there is memory for it."""
        admit_step(self, data)
        return super().test_step(state, data)

    def predict_step(self, state: Any, data: Any) -> Any:
        """Keras's step of a prediction, if there is memory for it."""
        admit_step(self, data)
        return super().predict_step(state, data)

    def _renew_optimizer(self) -> None:
        """A fresh optimizer with the same settings, where the one there has the state of other
        variables than those trained now, as after adapters came or went."""
        if self.optimizer is None or not self.optimizer.built:
            return
        known = {id(variable) for variable in self.optimizer._trainable_variables}
        if known != {id(variable) for variable in self.trainable_variables}:
            with warnings.catch_warnings():  # of NumPy about how Keras reads the learning rate
                warnings.simplefilter("ignore", DeprecationWarning)
                settings = self.optimizer.get_config()
            with held():
                self.optimizer = type(self.optimizer).from_config(settings)
                self.train_function = None

    def _batch(self, *parts: Any) -> Parts:
        return parts_of(prepared(parts, self._prepare))

    def _held_out(
        self, data: Any, batch_size: int | None, usual: int | None, tally: Tally
    ) -> tuple[Any, ...]:
        """Validation data for Keras, in batches of the usual size where it has none itself."""
        x, *others = parts_of(data)
        x = x if self.preprocessor is None or is_arrays(x) else self._rows(x)
        size = batch_size if batch_size is not None or is_dataset(x) else usual
        fed = self._fed((x, *others), size, False, tally)
        if isinstance(fed["x"], Samples):
            fed["x"].look_ahead()  # Keras reads them after a pass over the others
        return packed((fed["x"], fed.get("y"), fed.get("sample_weight")))

    def _unshuffled(
        self, parts: Parts, batch_size: int | None, tally: Tally | None = None
    ) -> dict[str, Any]:
        fed = self._fed(parts, batch_size, False, tally)
        return {name: value for name, value in fed.items() if name != "shuffle"}

    def _fed(
        self,
        parts: Parts,
        batch_size: int | None,
        shuffle: bool | None,
        tally: Tally | None = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Arguments of Keras' calls for the data: arrays as they are, the rest as a dataset.
        `tally` counts samples of which nothing is learnt; `weights` are those of classes."""
        (integer(1) | NOTHING).check("batch_size", batch_size)
        samples = self._samples(parts, batch_size, shuffle is not False, tally)
        if samples is not None:
            return {"x": samples, "shuffle": False}
        x, y, weight = parts
        given = {"y": y, "sample_weight": weight, "batch_size": batch_size}
        left = self.preprocessor is None and weights is not None and keras_reads(x)
        if is_dataset(x) and not left:
            dataset = self._dataset(x, given | {"class_weight": weights}, tally)
            return {"x": dataset, "shuffle": _shuffled(dataset, shuffle)}
        if not is_dataset(x):
            x, given["y"], given["sample_weight"] = self._prepare(x, y, weight)
            if tally is not None:
                tally.see_all(given["sample_weight"])
        return {"x": x, **given, "shuffle": _shuffled(x, shuffle)}

    def _dataset(self, x: Any, given: Mapping[str, Any], tally: Tally | None) -> Any:
        """A dataset of batches as Keras takes it.

        Raises:
            SettingError: something is given that its batches have themselves.
        """
        inside = {"class_weight"} if isinstance(x, keras.utils.PyDataset) else set()
        wrong = [name for name, value in given.items() if value is not None and name not in inside]
        if wrong:
            raise SettingError(
                f"{', '.join(wrong)}: expected None with a dataset, whose batches have their own "
                f"size, labels and weights, got some beside a {type(x).__name__}"
            )
        prepare = self._prepare if tally is None else self._counting(tally)
        if isinstance(x, keras.utils.PyDataset):
            return PreparedDataset(x, prepare)
        if isinstance(x, Iterator):  # once through it is over; Keras asks for a generator there
            return (prepared(element, prepare) for element in x)
        return Elements(x, prepare)

    def _counting(self, tally: Tally) -> Prepare:
        def prepare(*parts: Any) -> Parts:
            made = self._prepare(*parts)
            tally.see(made[2])
            return made

        return prepare

    def _samples(
        self,
        parts: Parts,
        batch_size: int | None = None,
        shuffle: bool = False,
        tally: Tally | None = None,
    ) -> Samples | None:
        """The data as samples in memory, None where it is none, or arrays that Keras takes."""
        if self.preprocessor is None or parts[0] is None:
            return None
        x = self._rows(parts[0])
        if is_arrays(x) or is_dataset(x):
            return None
        if self._is_examples(x):
            x = self._shortened(x, tally)
        return Samples((x, *parts[1:]), self._prepare, batch_size or 32, shuffle, tally)

    def _shortened(self, examples: Examples, tally: Tally | None = None) -> Examples:
        """Examples as long as the preprocessor makes them."""
        usual = self.preprocessor.sequence_length
        short = examples.at_length(min(usual, examples.limit or usual))
        if tally is not None:
            short.tell_dropped(tally.call)
        return short

    def _rows(self, x: Any) -> Any:
        """Rows as columns, files and tables as examples."""
        if isinstance(x, Path | TableOfColumns | Frame):
            return read_examples(x, self)
        return columns_of(x, self.preprocessor.pair_names, self.preprocessor.other_names)

    def _prepare(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        """Arrays of a batch, of which every id has a row in the model's tables."""
        return self._with_rows(*self._arrays(x, y, sample_weight))

    def _with_rows(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        if not isinstance(x, Mapping):
            return x, y, sample_weight
        return admit_batch(self.backbone.tables, x, y, sample_weight, self._token_name)

    def _arrays(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        if self.preprocessor is None or is_arrays(x):
            return self.preprocess(x, y, sample_weight)
        x = self._rows(x)
        count(x)
        if self._is_examples(x):
            return self._example_arrays(x, y, sample_weight)
        return self.preprocess(x, y, sample_weight)

    def _example_arrays(self, examples: Examples, y: Any, sample_weight: Any) -> Parts:
        """Arrays of examples, one a row."""
        if y is not None or sample_weight is not None:
            raise SettingError("y, sample_weight: expected None with examples, got some")
        short = self._shortened(examples)
        return short.reader.arrays([[example] for example in short], short.length)

    @staticmethod
    def _is_examples(x: Any) -> bool:
        return isinstance(x, Examples)


def _with(callbacks: Any, own: keras.callbacks.Callback) -> Any:
    """The callbacks that a user gave in one of Keras's forms, and one of ours."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(own)
        return callbacks
    return [*keras.tree.flatten(callbacks or []), own]


def _shuffled(data: Any, asked: bool | None) -> bool:
    """Whether Keras is to shuffle: by default arrays, and datasets of numbered batches."""
    if isinstance(data, Elements):
        return False
    if asked is not None:
        return asked
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is not None
    return not is_dataset(data)
