"""Text classifiers: strings or pairs of strings in, a number for each class out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from workbench.backbones.backbone import Backbone
from workbench.backbones.config import check_rate, check_size
from workbench.backbones.layers.dense import NamedDense
from workbench.errors import SettingError, shown
from workbench.kinds import checks_types
from workbench.preprocessing.text_classifier_preprocessor import TextClassifierPreprocessor
from workbench.tasks.task import Task

ACTIVATIONS = ("linear", "softmax", "sigmoid", "tanh", "relu")


@keras.saving.register_keras_serializable("workbench")
class TextClassifier(Task):
    """An encoder with a dense layer on its pooled output, and a preprocessor.

    Calling the model on the preprocessor's arrays gives (B, num_classes): logits, unless
    `activation` says otherwise. `fit`, `evaluate` and `predict` take a list of strings, or a tuple
    of lists for pairs. The model is compiled with defaults when built.

    Args:
        backbone: an encoder with a `pooled_output`.
        num_classes: the number of outputs.
        preprocessor: turns strings into ids; None for a model that is fed arrays.
        activation: the output's: None or "linear" for logits, else "softmax", "sigmoid", "tanh"
            or "relu".
        dropout: rate before the dense layer in training.

    Raises:
        SettingError: an argument is impossible.

    Example:
        >>> classifier = workbench.models.TextClassifier.from_preset("bert_tiny_en_uncased",
        ...     num_classes=2)
        >>> classifier.fit(["What a film!", "A waste of time."], [1, 0])
        >>> classifier.predict(["Never again."])
    """

    preprocessor_cls = TextClassifierPreprocessor
    head_arguments = ("num_classes", "activation", "dropout")
    labels: tuple[str, ...] = ()
    """Names of the classes, if a Transformers folder has them."""

    @checks_types
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        preprocessor: TextClassifierPreprocessor | None = None,
        activation: str | None = None,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        check_size(owner, "num_classes", num_classes)
        check_rate(owner, "dropout", dropout)
        if activation is not None and activation not in ACTIVATIONS:
            raise SettingError(
                f"{owner}: activation: expected None or one of {ACTIVATIONS}, "
                f"got {shown(activation)}"
            )
        dtype = backbone.dtype_policy
        drop = keras.layers.Dropout(dropout, dtype=dtype, name="classifier_dropout")
        dense = NamedDense(num_classes, activation=activation, dtype=dtype, name="logits")
        pooled = drop(backbone(backbone.input)["pooled_output"])
        super().__init__(inputs=backbone.input, outputs=dense(pooled), **kwargs)
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.num_classes = num_classes
        self.activation = activation or "linear"
        self.dropout = dropout
        self.compile()

    def compile(
        self, optimizer: Any = "auto", loss: Any = "auto", *, metrics: Any = "auto", **kwargs: Any
    ) -> None:
        """Set how the model trains.

        "auto" means Adam with a learning rate of 5e-5, cross-entropy, and accuracy.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = keras.optimizers.Adam(5e-5)
        if isinstance(loss, str) and loss == "auto":
            logits = self.activation != "softmax"
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy()]
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def preprocess(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...]:
        """Return training arrays for texts; arrays pass through unchanged."""
        y, sample_weight = (v if v is None else np.asarray(v) for v in (y, sample_weight))
        if self.preprocessor is None or isinstance(x, dict):
            return x, y, sample_weight
        return self._needed(TextClassifierPreprocessor).batch(x), y, sample_weight

    def head_config(self) -> dict[str, Any]:
        """Return the constructor's arguments for the head."""
        return {
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout,
        }
