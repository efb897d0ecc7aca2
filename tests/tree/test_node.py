"""Trees of parts: what is folded, and what the figures come to."""

import pytest

from workbench.tree.figures import count_text, memory_text, share_text, short_count, summary
from workbench.tree.html import html_tree
from workbench.tree.node import Node, folded, ranges
from workbench.tree.text import LINE, text_tree


def leaf(name="kernel", size=10, dtype="float32", width=4):
    return Node(name, detail=f"({size})", size=size, dtype=dtype, bytes=size * width)


def block(number, size=10, detail=""):
    return Node(f"block_{number}", "Sequential", detail, children=(leaf(size=size),))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3], "3"), ([0, 1, 2], "0-2"), ([0, 1, 3, 5, 6], "0-1, 3, 5-6"), ([], "")],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text


def test_equal_parts_are_one_node_of_their_kind_at_the_place_of_the_first():
    kinds = ["window", "", "window", "window", ""]
    parts = [leaf("table"), *(block(i, detail=d) for i, d in enumerate(kinds)), leaf("norm")]
    found = folded(parts)
    assert [node.name for node in found] == ["table", "blocks 0, 2-3", "blocks 1, 4", "norm"]
    assert [node.count for node in found] == [1, 3, 2, 1]
    assert [node.parameters for node in found] == [10, 30, 20, 10]
    assert sum(node.memory for node in found) == sum(node.memory for node in parts)


def test_parts_that_differ_deep_inside_are_told_apart():
    assert [node.name for node in folded([block(0), block(1, size=11), block(2)])] == [
        "blocks 0, 2",
        "block_1",
    ]


def test_a_number_that_stands_alone_stays_as_it_is():
    assert [node.name for node in folded([leaf("conv_1"), leaf("conv_2", size=3)])] == [
        "conv_1",
        "conv_2",
    ]


def test_parts_of_one_name_fold_too():
    (both,) = folded([Node("dropout", detail="rate=0.1")] * 2)
    assert (both.name, both.count) == ("dropout", 2)


def test_figures_of_a_fold_within_a_fold():
    inner = Node("heads", count=4, children=(leaf(size=100),))
    outer = Node("blocks", count=3, children=(inner, leaf("bias", 8, "int8", 1)))
    root = Node("model", children=(outer,))
    assert (outer.each, outer.parameters, root.parameters) == (408, 1224, 1224)
    assert root.memory == 3 * (4 * 400 + 8) and root.dtypes == ("float32", "int8")
    assert count_text(inner, 3) == "12 × 100" and share_text(inner, 1224, 3) == "98 %"
    assert share_text(leaf(size=1), 1224, 1) == "< 1 %"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.00 k"), (2_942_000, "2.94 M"), (134_000_000, "134 M")],
)
def test_short_counts(number, text):
    assert short_count(number) == text


@pytest.mark.parametrize(
    ("size", "text"), [(10, "10 bytes"), (1_500, "1.50 kB"), (11_100_000, "11.1 MB")]
)
def test_memory(size, text):
    assert memory_text(size) == text


def test_int4_says_how_it_is_counted():
    root = Node("model", children=(leaf(dtype="int4", width=1),))
    assert summary(root) == "10 parameters (of int4, two count as one), int4, 10 bytes"


def test_long_lines_are_cut_before_their_figures():
    root = Node("model", "Kind", children=(Node("part", detail="x" * 400, children=(leaf(),)),))
    line = text_tree(root, 1).splitlines()[1]
    assert len(line) == LINE and line.endswith("… · 10 · 100 %")


def test_the_text_goes_as_deep_as_asked():
    root = Node("model", "Kind", children=(block(0), Node("sampler", detail="GreedySampler()")))
    assert text_tree(root, None).splitlines() == [
        "model · Kind · 10 parameters, float32, 40 bytes",
        "├─ block_0  Sequential · 10 · 100 %",
        "│  └─ kernel  (10) · 10 · 100 %",
        "└─ sampler  GreedySampler()",
    ]
    assert text_tree(root, 3).count("\n") == 2, "variables are told where all is"
    assert text_tree(root, 0) == "model · Kind · 10 parameters, float32, 40 bytes"


def test_whatever_a_part_is_called_is_escaped():
    wild = "<img src=x onerror=alert(1)>\"'&"
    root = Node(wild, wild, children=(Node(wild, wild, wild, children=(leaf(wild, dtype=wild),)),))
    page = html_tree(root)
    assert "<img" not in page and "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;" in page
    assert page.count("<details") == page.count("</details>") == 2
    assert "<script" not in page and "<style" not in page
