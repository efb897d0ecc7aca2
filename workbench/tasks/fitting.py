"""`fit`, `evaluate` and `predict` on what users have: texts, pairs, pictures, datasets, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import keras

from workbench.backbones.tables import Name, admit_batch
from workbench.backbones.training_claims import trains_alone
from workbench.data.examples import Examples
from workbench.data.sources import Frame, TableOfColumns, read_examples
from workbench.errors import SettingError
from workbench.interrupts import held
from workbench.keras_internals import CACHED_EVALUATION, trained_by
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

Kind = TypeVar("Kind", bound=Preprocessor)


class FitsRawData(WholeSteps):
    """The training calls of `keras.Model`, with preprocessing batch by batch.

    With a preprocessor, inputs may be

    - in memory: texts in a list, a tuple or an array; pairs of prompt and response (only the
      response is learnt); dicts; a dict of columns such as `{"prompts": [...], "responses":
      [...]}`, or those the preprocessor names;
    - anything `workbench.tuning.read_examples` reads: a `pathlib.Path` to a file, a Hugging Face
      dataset, a pandas data frame, or `Examples`;
    - batches of these, from any iterable: a `tf.data.Dataset`, a generator, a
      `keras.utils.PyDataset`. An element that is a tuple holds inputs, labels and sample weights;
    - arrays in a dict with token ids, or in batches: they pass through unchanged.

    With `task.preprocessor = None` inputs are arrays, in all forms that Keras reads. Ids without a
    row in the model's tables are refused; a padding id without one becomes 0. A warning after the
    first pass counts the samples without a token to learn.

    Each of these calls takes the weights out of the model while it works. During a training on the
    same backbone it is refused at once, with a `ModelInTrainingError`.
    """

    @property
    def preprocessor(self) -> Preprocessor | None:
        """The preprocessor of raw inputs; None for a model that is fed arrays."""
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, value: Preprocessor | None) -> None:
        self._preprocessor = value
        if isinstance(value, Preprocessor):
            tables = self.backbone.tables.items()
            value.table_rows = min(t.rows for name, t in tables if name.endswith("token_ids"))

    @property
    def token_name(self) -> Name | None:
        """The tokenizer's function that names an id, for messages."""
        return None if self.preprocessor is None else self.preprocessor.tokenizer.token_text

    def _needed(self, kind: type[Kind]) -> Kind:
        """Return the preprocessor, typed as `kind`.

        Raises:
            SettingError: the model has no preprocessor.
        """
        if self.preprocessor is None:
            raise SettingError(
                "This model has no preprocessor, so it cannot read strings: expected a dict of "
                "token_ids and padding_mask for generate(), got text"
            )
        return cast(Kind, self.preprocessor)

    def preprocess(self, x: Any, y: Any = None, sample_weight: Any = None) -> Parts:
        """Return training arrays for a batch in the preprocessor's form; arrays pass through
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
        """Train as `keras.Model.fit`, with a preprocessor also on raw data.

        Args:
            x: inputs, as in the class docstring.
            y: labels, if neither `x` nor the preprocessor has them.
            batch_size: samples per batch, None for 32; datasets have their own.
            sample_weight: a number for each label, or for each sample.
            validation_data: as `x`, or a tuple of inputs, labels and weights.
            validation_split: the share of samples in memory, the last ones, to validate on.
            kwargs: the other arguments of `keras.Model.fit`. `shuffle` is True by default for
                samples in memory.

        Raises:
            PromptError: a sample is not in a batch, cannot be read, or has a token outside the
                model's vocabulary.
            SettingError: an argument does not fit the data, or all weights are frozen.
            DataError: no sample has a token to learn.
            AdapterError: an adapter is merged, or there are adapters but none is active.
            MemoryTooSmallError: a step would not fit into the memory.

        An interrupt stops training after the current step; the model keeps that step's values.
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
        """Evaluate as `keras.Model.evaluate`, on data as for `fit`."""
        if kwargs.get(CACHED_EVALUATION):  # called by fit, which has prepared the data
            return super().evaluate(x, y, batch_size, sample_weight=sample_weight, **kwargs)
        tested = Tally("evaluate")
        fed = self._unshuffled((x, y, sample_weight), batch_size, tested)
        admit_optimizer(self)  # Keras makes the optimizer's state here, too
        told = _with(kwargs.pop("callbacks", None), TellsUnlearnt(None, tested))
        return super().evaluate(**fed, callbacks=told, **kwargs)

    @trains_alone
    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Predict as `keras.Model.predict`, on inputs as for `fit`."""
        fed = self._unshuffled((x, None, None), batch_size)
        return super().predict(fed["x"], batch_size=fed.get("batch_size"), **kwargs)

    @trains_alone
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Train as `keras.Model.train_on_batch`, on a batch of raw data or arrays."""
        check_trainable(self, "train_on_batch")
        self._renew_optimizer()
        admit_optimizer(self)
        batch = self._batch(x, y, sample_weight)
        Tally("train_on_batch").see_all(batch[2])
        return super().train_on_batch(*batch, **kwargs)

    @trains_alone
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.test_on_batch`, on a batch of raw data or arrays."""
        batch = self._batch(x, y, sample_weight)
        Tally("test_on_batch").see_all(batch[2])
        return super().test_on_batch(*batch, **kwargs)

    @trains_alone
    def predict_on_batch(self, x: Any) -> Any:
        """Predict as `keras.Model.predict_on_batch`, on a batch of raw data or arrays."""
        return super().predict_on_batch(self._batch(x, None, None)[0])

    def train_step(self, state: Any, data: Any) -> Any:
        """Run Keras's training step, if it fits into the memory."""
        admit_step(self, data, state[0])
        return super().train_step(state, data)

    def test_step(self, state: Any, data: Any) -> Any:
        """Run Keras's evaluation step, if it fits into the memory."""
        admit_step(self, data)
        return super().test_step(state, data)

    def predict_step(self, state: Any, data: Any) -> Any:
        """Run Keras's prediction step, if it fits into the memory."""
        admit_step(self, data)
        return super().predict_step(state, data)

    def _renew_optimizer(self) -> None:
        """Replace the optimizer by a new one with the same settings, if its state belongs to other
        variables than those trained now, as after adding or removing adapters."""
        if self.optimizer is None or not self.optimizer.built:
            return
        known = {id(variable) for variable in trained_by(self.optimizer)}
        if known != {id(variable) for variable in self.trainable_variables}:
            with warnings.catch_warnings():  # NumPy warns of how Keras reads the learning rate
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
        """Return validation data for Keras, in batches of the usual size if none is given."""
        x, *others = parts_of(data)
        x = x if self.preprocessor is None or is_arrays(x) else self._rows(x)
        size = batch_size if batch_size is not None or is_dataset(x) else usual
        fed = self._fed((x, *others), size, False, tally)
        if isinstance(fed["x"], Samples):
            fed["x"].look_ahead()  # Keras reads them only after a pass over the training samples
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
        """Return the data arguments for Keras's calls: arrays unchanged, the rest as a dataset.
        `tally` counts samples without a token to learn; `weights` are the class weights."""
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
        """Return a dataset of batches in a form that Keras takes.

        Raises:
            SettingError: an argument is given that the batches hold themselves.
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
        if isinstance(x, Iterator):  # it runs only once: Keras wants a generator for that
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
        """Return the data as samples in memory; None for datasets, and for arrays that Keras
        takes."""
        if self.preprocessor is None or parts[0] is None:
            return None
        x = self._rows(parts[0])
        if is_arrays(x) or is_dataset(x):
            return None
        if self._is_examples(x):
            x = self._shortened(x, tally)
        return Samples((x, *parts[1:]), self._prepare, batch_size or 32, shuffle, tally)

    def _shortened(self, examples: Examples, tally: Tally | None = None) -> Examples:
        """Return examples cut to the preprocessor's length."""
        usual = self._needed(Preprocessor).sequence_length
        short = examples.at_length(min(usual, examples.limit or usual))
        if tally is not None:
            short.tell_dropped(tally.call)
        return short

    def _rows(self, x: Any) -> Any:
        """Turn rows into columns, and files and tables into examples."""
        if isinstance(x, Path | TableOfColumns | Frame):
            return read_examples(x, self)
        reader = self._needed(Preprocessor)
        return columns_of(x, reader.pair_names, reader.other_names)

    def _prepare(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        """Return the arrays of a batch; every id has a row in the model's tables."""
        return self._with_rows(*self._arrays(x, y, sample_weight))

    def _with_rows(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        if not isinstance(x, Mapping):
            return x, y, sample_weight
        return admit_batch(self.backbone.tables, x, y, sample_weight, self.token_name)

    def _arrays(self, x: Any, y: Any, sample_weight: Any) -> Parts:
        if self.preprocessor is None or is_arrays(x):
            return self.preprocess(x, y, sample_weight)
        x = self._rows(x)
        count(x)
        if self._is_examples(x):
            return self._example_arrays(x, y, sample_weight)
        return self.preprocess(x, y, sample_weight)

    def _example_arrays(self, examples: Examples, y: Any, sample_weight: Any) -> Parts:
        """Return the arrays of examples, one per row."""
        if y is not None or sample_weight is not None:
            raise SettingError("y, sample_weight: expected None with examples, got some")
        short = self._shortened(examples)
        return short.reader.arrays([[example] for example in short], short.length)

    @staticmethod
    def _is_examples(x: Any) -> bool:
        return isinstance(x, Examples)


def _with(callbacks: Any, own: keras.callbacks.Callback) -> Any:
    """Add our callback to the user's, given in any of Keras's forms."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.callbacks.append(own)
        return callbacks
    return [*keras.tree.flatten(callbacks or []), own]


def _shuffled(data: Any, asked: bool | None) -> bool:
    """Return whether Keras should shuffle; by default arrays, and datasets with a known number of
    batches."""
    if isinstance(data, Elements):
        return False
    if asked is not None:
        return asked
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is not None
    return not is_dataset(data)
