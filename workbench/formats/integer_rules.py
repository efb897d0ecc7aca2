"""Rules for the integers of a quantized model in `model.weights.h5`, derived from its float rules.

Keras numbers a layer's variables: the codes, then the bias if any, the scale, and the zero. An
embedding has the codes and scale of its table, then those of the second table.

int8 is KerasHub's format. The int4 codes have our own format, because Keras groups the numbers of
some kernels across their axes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from workbench.backbones.weights import Layout, Rule

# The variables after the codes of a matrix.
_MORE = {"int8": ("_scale",), "int4": ("_scale", "_zero")}
KERNEL, TABLE, SECOND_TABLE = "/kernel", "/embeddings", "/reverse_embeddings"


def integer_rules(
    rules: Mapping[str, Rule], mode: str, held: Collection[str], biased: Collection[str]
) -> dict[str, Rule]:
    """Return the rules of the integers by our names; they override the family's own.

    Args:
        rules: the float rules from `expand`.
        mode: "int8" or "int4".
        held: our names of the integer matrices; they end in `/kernel` or `/embeddings`.
        biased: our names of the existing biases.
    """
    made: list[Rule] = []
    for name in held:
        if name.endswith(KERNEL):
            bias = name.removesuffix(KERNEL) + "/bias" in biased
            made += _of_kernel(rules[name], mode, 1 + bias)
        else:
            made += _of_tables(rules[name], mode)
    return {rule.ours: rule for rule in made}


def has_bias(rule: Rule, mode: str, theirs: Collection[str]) -> bool:
    """Return whether a file with the integers of a kernel also has the layer's bias."""
    return _variable(rule, 1 + len(_MORE[mode])) in theirs


def _variable(rule: Rule, number: int) -> str:
    return f"{rule.names[0].removesuffix('0')}{number}"


def _of_kernel(rule: Rule, mode: str, first: int) -> list[Rule]:
    if mode == "int8":
        layout = Layout(_scale_pattern(rule))
        return [rule, Rule(rule.ours + "_scale", _variable(rule, first), layout)]
    more = [
        Rule(rule.ours + end, _variable(rule, number))
        for number, end in enumerate(_MORE[mode], start=first)
    ]
    return [replace(rule, layout=Layout("")), *more]


def _scale_pattern(rule: Rule) -> str:
    """Return the axes of a scale: Keras's Dense has one for each output; its EinsumDense adds
    leading axes for batch and position."""
    ours, _, theirs = rule.layout.pattern.partition(" -> ")
    outputs = "hk" if ours.startswith("hk") else ours[0]
    einsum = rule.einsum or (len(theirs) == 3 and "(" not in theirs)
    return f"{outputs} -> 11{outputs}" if einsum else f"{outputs} -> {outputs}"


def _of_tables(rule: Rule, mode: str) -> list[Rule]:
    ends = ("", *_MORE[mode])
    second = rule.ours.removesuffix(TABLE) + SECOND_TABLE
    codes = Layout("vd -> dv" if mode == "int8" else "")
    return [
        *(Rule(rule.ours + end, _variable(rule, number)) for number, end in enumerate(ends)),
        Rule(second, _variable(rule, len(ends)), codes),
        *(
            Rule(second + end, _variable(rule, len(ends) + number))
            for number, end in enumerate(ends)
            if end
        ),
    ]
