"""Reads a Transformers `config.json`: every key is used, known to be harmless, or refused.

It reads both generations of files: version 4 wrote `rope_theta` and `rope_scaling`, version 5
    writes one `rope_parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import PresetError, shown
from workbench.formats.settings_kinds import KINDS
from workbench.kinds import one_of
from workbench.storage.files import CONFIG
from workbench.storage.json_files import first

# Keys unrelated to the network: bookkeeping, training, and generation defaults. The code
# that `auto_map` names is neither fetched nor run.
HARMLESS = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures
    attention_dropout attn_pdrop auto_map bad_words_ids begin_suppress_tokens bos_token_id
    chunk_size_feed_forward
    decoder_start_token_id diversity_penalty do_sample dtype early_stopping embd_pdrop
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label initializer_range
    keys_to_ignore_at_inference label2id length_penalty max_length min_length model_type
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions
    output_hidden_states output_scores pad_token_id prefix pretraining_tp problem_type
    remove_invalid_values repetition_penalty resid_pdrop return_dict return_dict_in_generate
    sep_token_id summary_activation summary_first_dropout summary_proj_to_labels summary_type
    summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss
    tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p
    unk_token_id unsloth_version use_cache
    """.split()  # noqa: SIM905
)

_ROPE_PARAMETERS = {
    "default": set(),
    "linear": {"factor"},
    "llama3": {
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    },
    "longrope": {"short_factor", "long_factor"},
}
_REQUIRED = object()


class ConfigReader:
    """A config being read. Take the settings that the family uses, then call `finish`.

    Each value must have the kind that `KINDS` gives for its key; null means the same as a missing
    key.

    Example:
        >>> settings = ConfigReader(config)
        >>> width, heads = settings.take("hidden_size"), settings.take("num_attention_heads")
        >>> tied = settings.take("tie_word_embeddings", False)
        >>> settings.expect("hidden_act", "silu")
        >>> settings.finish(defaults={"mlp_bias": False})
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._left = dict(config)

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return the value of `key`, or `default` if it is absent or null.

        Raises:
            PresetError: it has the wrong kind, or is absent or null and there is no default.
        """
        value = self._left.pop(key, None)
        if value is not None:
            KINDS[key].check(f"{CONFIG}: {key}", value, PresetError)
            return value
        if default is _REQUIRED:
            raise PresetError.at(CONFIG, key, "a value", "none")
        return default

    def expect(self, key: str, *values: Any, default: Any = _REQUIRED) -> Any:
        """Return the value of `key`, which must be one of `values`; absent or null means
        `default`."""
        value = self._left.pop(key, None)
        if value is None:
            value = values[0] if default is _REQUIRED else default
        if not one_of(*values).fits(value):
            expected = f"{' or '.join(map(shown, values))}, which is all this family has"
            raise PresetError.at(CONFIG, key, expected, shown(value))
        return value

    def rope(
        self,
        theta: float = 10_000.0,
        kinds: tuple[str, ...] = ("default", "linear"),
        partial: float | None = None,
    ) -> dict[str, Any]:
        """Return the rotary settings of either generation: `rope_theta`, `rope_type`, its
        parameters.

        `rope_type` is "default", "linear" (with `factor`), "llama3" (with `factor`,
        `low_freq_factor`, `high_freq_factor`, `original_max_position_embeddings`) or "longrope"
        (with `short_factor`, `long_factor`, lists).

        Args:
            theta: the base if the file gives none.
            kinds: the types that the family supports.
            partial: for families that rotate a part of each head, the default of this part. It is
                returned as `partial_rotary_factor`.

        Raises:
            PresetError: an unsupported type, a missing or unknown parameter, or two different
                bases.
        """
        new, old = self.take("rope_parameters", {}), self.take("rope_scaling", {})
        if new and old and new != old:
            got = f"{shown(new)} and {shown(old)}"
            raise PresetError.at(CONFIG, "rope_parameters, rope_scaling", "one object", got)
        values = _rope_values("rope_parameters", new) or _rope_values("rope_scaling", old)
        base = _single("rope_theta", values.pop("rope_theta", None), self.take("rope_theta", None))
        kind = _single("rope_type", values.pop("rope_type", None), values.pop("type", None))
        kind = "default" if kind is None else kind
        part = {}
        if partial is not None:
            key = "partial_rotary_factor"
            given = _single(key, values.pop(key, None), self.take(key, None))
            part[key] = partial if given is None else given
        if kind in ("su", "yarn") and "short_factor" in values:  # its early names
            kind = "longrope"
        _check_rope_parameters(kind, values, kinds)
        return {"rope_theta": theta if base is None else base, "rope_type": kind, **values, **part}

    def finish(
        self, defaults: Mapping[str, Any] | None = None, harmless: tuple[str, ...] = ()
    ) -> None:
        """Refuse every key that was not taken and might change the network.

        A key may be left if its name is in `HARMLESS` or `harmless`, its value is null or false, or
        it equals the one in `defaults`.

        Raises:
            PresetError: other keys are left; the message names them all.
        """
        defaults = defaults or {}
        unknown = [
            f"{shown(key)}: {shown(value)}"
            for key, value in self._left.items()
            if key not in HARMLESS
            and key not in harmless
            and value is not None
            and value is not False
            and not (key in defaults and value == defaults[key])
        ]
        if unknown:
            raise PresetError(
                f"{CONFIG}: these settings are not understood, so the model could come out "
                f"wrong:\n{first(unknown)}"
            )


def _rope_values(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are not null; check the kinds of the known ones."""
    values = {key: value for key, value in given.items() if value is not None}
    for key in values.keys() & KINDS.keys():
        KINDS[key].check(f"{CONFIG}: {name}: {key}", values[key], PresetError)
    return values


def _single(key: str, *values: Any) -> Any:
    """Return the one value that several places may give, or None."""
    given = [value for value in values if value is not None]
    if any(value != given[0] for value in given):
        raise PresetError.at(CONFIG, key, "one value", shown(given))
    return given[0] if given else None


def _check_rope_parameters(kind: Any, values: dict[str, Any], kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise PresetError.at(CONFIG, "rope_type", " or ".join(kinds), shown(kind))
    if values.get("partial_rotary_factor") in (None, 1):
        values.pop("partial_rotary_factor", None)
    if kind == "longrope":  # the config has the same number outside this object
        values.pop("original_max_position_embeddings", None)
    if set(values) != _ROPE_PARAMETERS[kind]:
        expected = ", ".join(sorted(_ROPE_PARAMETERS[kind])) or "no parameters"
        raise PresetError.at(
            CONFIG, f"rope_parameters of type {kind}", expected, shown(sorted(values))
        )
