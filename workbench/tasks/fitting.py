"""`fit`, `evaluate` and `predict` on what users have: texts, pairs, pictures, datasets, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from workbench.backbones.training_claims import trains_alone
from workbench.errors import SettingError
from workbench.interrupts import held
from workbench.kinds import NOTHING, RATE, integer
from workbench.tasks.columns import columns_of, count
from workbench.tasks.feeding import (
    Elements,
    Parts,
    PreparedDataset,
    Samples,
    is_arrays,
    is_dataset,
    keras_reads,
    packed,
    parts_of,
    prepared,
)
from workbench.tasks.step_memory import admit_optimizer, admit_step
from workbench.tasks.whole_steps import WholeSteps

if TYPE_CHECKING:
    from workbench.tasks.preprocessor import Preprocessor


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

    `task.preprocessor = None` leaves all to Keras.

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
            PromptError: a sample is not in a batch, or cannot be read.
            SettingError: an argument does not go with the data.
            MemoryTooSmallError: a step would not fit into the memory.

        An interrupt ends it after the step at work, whose values the model then has.
        """
        (RATE | NOTHING).check("validation_split", validation_split)
        integer(1).check("epochs", kwargs.get("epochs", 1))
        shuffle = kwargs.pop("shuffle", None)
        parts: Any = (x, y, sample_weight)
        if validation_split and validation_data is None:
            samples = self._samples(parts)
            if samples is not None:
                parts, validation_data = samples.split(validation_split)
                validation_split = None
        if validation_data is not None:
            size = kwargs.get("validation_batch_size")
            kwargs["validation_data"] = self._held_out(validation_data, size, batch_size)
        fed = self._fed(parts, batch_size, shuffle, kwargs.get("class_weight"))
        self._renew_optimizer()
        admit_optimizer(self)
        return super().fit(**fed, validation_split=validation_split or 0.0, **kwargs)

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
        fed = self._unshuffled((x, y, sample_weight), batch_size)
        admit_optimizer(self)  # Keras makes its state here, too
        return super().evaluate(**fed, **kwargs)

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
        self._renew_optimizer()
        admit_optimizer(self)
        return super().train_on_batch(*self._batch(x, y, sample_weight), **kwargs)

    @trains_alone
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`, on a batch of raw data or of arrays."""
        return super().test_on_batch(*self._batch(x, y, sample_weight), **kwargs)

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

    def _held_out(self, data: Any, batch_size: int | None, usual: int | None) -> tuple[Any, ...]:
        """Validation data for Keras, in batches of the usual size where it has none itself."""
        x, *others = parts_of(data)
        x = x if self.preprocessor is None or is_arrays(x) else self._rows(x)
        size = batch_size if batch_size is not None or is_dataset(x) else usual
        fed = self._fed((x, *others), size, False)
        return packed((fed["x"], fed.get("y"), fed.get("sample_weight")))

    def _unshuffled(self, parts: Parts, batch_size: int | None) -> dict[str, Any]:
        fed = self._fed(parts, batch_size, False)
        return {name: value for name, value in fed.items() if name != "shuffle"}

    def _fed(
        self, parts: Parts, batch_size: int | None, shuffle: bool | None, weights: Any = None
    ) -> dict[str, Any]:
        """Arguments of Keras' calls for the data: arrays as they are, the rest as a dataset.
        `weights` are those of classes."""
        (integer(1) | NOTHING).check("batch_size", batch_size)
        samples = self._samples(parts, batch_size, shuffle is not False)
        if samples is not None:
            return {"x": samples, "shuffle": False}
        x, y, weight = parts
        given = {"y": y, "sample_weight": weight, "batch_size": batch_size}
        if is_dataset(x) and not (self.preprocessor is None and keras_reads(x)):
            dataset = self._dataset(x, given | {"class_weight": weights})
            return {"x": dataset, "shuffle": _shuffled(dataset, shuffle)}
        if not is_dataset(x):
            x, given["y"], given["sample_weight"] = self._prepare(x, y, weight)
        return {"x": x, **given, "shuffle": _shuffled(x, shuffle)}

    def _dataset(self, x: Any, given: Mapping[str, Any]) -> Any:
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
        if isinstance(x, keras.utils.PyDataset):
            return PreparedDataset(x, self._prepare)
        if isinstance(x, Iterator):  # once through it is over; Keras asks for a generator there
            return (prepared(element, self._prepare) for element in x)
        return Elements(x, self._prepare)

    def _samples(
        self, parts: Parts, batch_size: int | None = None, shuffle: bool = False
    ) -> Samples | None:
        """The data as samples in memory, None where it is none, or arrays that Keras takes."""
        if self.preprocessor is None or parts[0] is None:
            return None
        x = self._rows(parts[0])
        if is_arrays(x) or is_dataset(x):
            return None
        return Samples((x, *parts[1:]), self._prepare, batch_size or 32, shuffle)

    def _rows(self, x: Any) -> Any:
        """Rows as columns, files and tables as examples."""
        from workbench.tuning.reading import Frame, TableOfColumns, read_examples

        if isinstance(x, Path | TableOfColumns | Frame):
            return read_examples(x, self)
        return columns_of(x, self.preprocessor.pair_names, self.preprocessor.other_names)

    def _prepare(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        if self.preprocessor is None or is_arrays(x):
            return self.preprocess(x, y, sample_weight)
        x = self._rows(x)
        count(x)
        if self._is_examples(x):
            return self._example_arrays(x, y, sample_weight)
        return self.preprocess(x, y, sample_weight)

    def _example_arrays(self, examples: Any, y: Any, sample_weight: Any) -> Parts:
        """Arrays of examples, one a row, as long as the preprocessor makes them."""
        if y is not None or sample_weight is not None:
            raise SettingError("y, sample_weight: expected None with examples, got some")
        usual = self.preprocessor.sequence_length
        short = examples.at_length(min(usual, examples.limit or usual))
        return short.reader.arrays([[example] for example in short], short.length)

    @staticmethod
    def _is_examples(x: Any) -> bool:
        from workbench.tuning.examples import Examples

        return isinstance(x, Examples)


def _shuffled(data: Any, asked: bool | None) -> bool:
    """Whether Keras is to shuffle: by default arrays, and datasets of numbered batches."""
    if isinstance(data, Elements):
        return False
    if asked is not None:
        return asked
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is not None
    return not is_dataset(data)
