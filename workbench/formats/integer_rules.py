"""Where the integers of a quantized model are in `model.weights.h5`, given where its floats are.

Keras numbers a layer's variables: the codes first, the bias where there is one, then the scale,
then the zero. An embedding has the codes and scale of its table, then those of the second table.

int8 is what KerasHub writes. The codes of int4 are ours: Keras groups the numbers of some kernels
across their axes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from workbench.backbones.weights import Layout, Rule

# What follows the codes of a matrix.
_MORE = {"int8": ("_scale",), "int4": ("_scale", "_zero")}
KERNEL, TABLE, SECOND_TABLE = "/kernel", "/embeddings", "/reverse_embeddings"


def integer_rules(
    rules: Mapping[str, Rule], mode: str, held: Collection[str], biased: Collection[str]
) -> dict[str, Rule]:
    """The rules of the integers by our names, to be put over the family's own.

    Args:
        rules: of the floats, as `expand` gives them.
        mode: "int8" or "int4".
        held: our names of the matrices that are integers, those that end in `/kernel` or
            `/embeddings`.
        biased: our names of the biases that there are.
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
    """Whether a file that holds the integers of a kernel has a bias of the layer."""
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
    """Keras's Dense has a scale for each output; its EinsumDense puts axes for batch and position
    before them."""
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
