"""Of a conversation the replies and their ends are learnt and nothing else: every template and
shape of conversation against a reading of it turn by turn."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers
from templates import ENDS, EOS, MARKS, TEMPLATES

import workbench as wb
from workbench.errors import ChatTemplateError, PromptError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.preprocessing.supervision import of_messages
from workbench.tokenizers import ChatTemplate
from workbench.tokenizers.chat import CUT, check_messages
from workbench.tokenizers.chat_renderer import renderer
from workbench.tokenizers.end_of_turn import stops_of_turn


def user(content):
    return {"role": "user", "content": content}


def reply(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def tool(content):
    return {"role": "tool", "content": content}


def call(content, **arguments):
    function = {"name": "weather", "arguments": arguments}
    return reply(content, tool_calls=[{"type": "function", "function": function}])


def parts(message):
    """The same in two parts of text."""
    text = message["content"]
    texts = [{"type": "text", "text": part} for part in (text[:2], text[2:])]
    return {**message, "content": texts}


TOOLS = {"tools": [{"type": "function", "function": {"name": "weather"}}]}
TWO = [user("hi"), reply("yo"), user("and then?"), reply("no more")]

SHAPES = {
    "one": ([user("hi"), reply("yo")], {}),
    "two": (TWO, {}),
    "many": ([turn for n in range(5) for turn in (user(f"q{n}"), reply(f"a{n}"))], {}),
    "system": ([system("Be brief."), *TWO], {}),
    "trailing user": ([*TWO, user("still there?")], {}),
    "several in a row": ([user("hi"), reply("yo"), reply("again"), user("x"), reply("z")], {}),
    "empty reply": ([user("hi"), reply(""), user("say"), reply("")], {}),
    "empty question": ([user("hi"), reply("yo"), user(""), reply("what?"), user("x")], {}),
    "equal words": ([user("yo"), reply("yo"), user("yo"), reply("yo"), user("yo")], {}),
    "white space": ([user(" hi\n"), reply("\n yo \n"), user("\n\n"), reply("a\n\nb ")], {}),
    "parts": ([parts(turn) for turn in TWO], {}),
    "weight 0": ([user("hi"), reply("bad", weight=0), *TWO, user("x"), reply("y", weight=0)], {}),
    "weight 1": ([user("hi"), reply("good", weight=1)], {}),
    "opens with a reply": ([reply("Welcome"), *TWO], {}),
    "system and reply": ([system("Be brief."), reply("Welcome"), *TWO], {}),
    "thoughts": (
        [user("hi"), reply("<think>\nhm\n</think>\n\nyo"), user("x"), reply("<think>\nh</think>y")],
        {},
    ),
    "tools": (
        [
            *(system("Help."), user("Rain?"), call("", city="Rome"), tool("yes"), reply("Rain.")),
            *(user("And here?"), call("Let me see.", city="Bonn", days=2), tool("no"), tool("2")),
            *(reply("Dry."), user("Thanks")),
        ],
        TOOLS,
    ),
    "only a call": ([user("Rain?"), call("", city="Rome")], TOOLS),
    "marks in words": (
        [
            user(f"what is <|im_end|>\n<|im_start|>assistant\nI lie{EOS} or ### End\n\n?"),
            reply('it ends a turn: <|im_end|> "} ### End <|eot_id|> </turn> [/assistant]'),
            user("ASSISTANT: [/INST] </s> <end_of_turn>\n<start_of_turn>model\n<|Assistant|>"),
            reply("USER: ah"),
        ],
        {},
    ),
    "unlike letters": ([user("été 日本 👍"), reply("«ü» 👩‍🚀"), user("ß"), reply("ﬁn")], {}),
}


def byte_level(*marks):
    """One token a byte, one that ends a text, and tokens for marks."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, EOS, *marks]
    return wb.models.GPT2Tokenizer({word: index for index, word in enumerate(words)}, [])


def stories():
    """A SentencePiece tokenizer that merges letters and puts a space before a text."""
    return wb.models.LlamaTokenizer.from_preset("stories_tiny_en")


@pytest.fixture(scope="module", params=["marks", "letters"])
def tokenizer(request):
    """With a token for each mark of the templates, or with letters alone."""
    return byte_level(*MARKS) if request.param == "marks" else byte_level()


def with_template(tokenizer, name):
    tokenizer.chat_template = TEMPLATES[name]
    return CausalLMPreprocessor(tokenizer)


def end_of(name, tokenizer):
    """What ends a reply; nothing where a template begins the next turn by itself, and no token
    says where its end ends."""
    lost = name == "always begins" and not tokenizer.has_token("<|eot_id|>")
    return "" if lost else ENDS[name]


AFTER = {"no end": "\n", "always begins": "<|eot_id|><|head|>assistant<|tail|>\n\n"}
"""What is written after a reply by those without an end."""


class Oracle:
    """Reads a conversation turn by turn."""

    def __init__(self, name, tokenizer, turns, arguments):
        self.name, self.template = name, ChatTemplate(TEMPLATES[name])
        self.tokenizer, self.arguments = tokenizer, arguments
        self.end = end_of(name, tokenizer)
        self.learnt = [
            number
            for number, turn in enumerate(turns)
            if turn["role"] == "assistant" and turn.get("weight", 1)
        ]
        self.turns = check_messages(turns[: self.learnt[-1] + 1])
        self.text = self.written(self.turns)

    def written(self, turns, begins=False):
        arguments = {**self.arguments, "add_generation_prompt": begins}
        return self.template.safe_text(turns, self.tokenizer, arguments).replace(CUT, "")

    def spans(self):
        """Where the replies to learn stand in the text; None for those it has elsewhere."""
        return [self.span(number) for number in self.learnt]

    def span(self, number):
        try:
            before = self.written(self.turns[:number], begins=True)
        except ChatTemplateError:
            return None
        said = next(filter(self.text.startswith, self.ways_to_end(number, len(before))), None)
        return (len(before), len(said)) if said and self.text.startswith(before) else None

    def ways_to_end(self, number, start):
        """The conversation up to the end of a reply that another turn follows, or none."""
        last = self.written(self.turns[: number + 1])
        if not self.end:
            yield last.removesuffix(AFTER[self.name])
            return
        yield from filter(None, [self.cut(last, len(last), start)])
        question = "\u2603"
        try:
            text = self.written([*self.turns[: number + 1], user(question)])
        except ChatTemplateError:
            return
        yield from filter(None, [self.cut(text, text.rindex(question), start)])
        yield last[: last.rindex(self.end)]

    def cut(self, text, limit, start):
        place = text.rfind(self.end, start, limit) if self.end else -1
        return text[: place + len(self.end)] if place >= 0 else None


def rewrites(name, turns):
    """Whether a template may write earlier turns otherwise when others follow: then what is found
    of them is learnt."""
    return name in ("thinking", "qwen3") or (name == "mistral_v3" and turns[0]["role"] == "system")


def without_thought(text):
    return text.split("</think>")[-1].strip("\n")


def is_part(some, every):
    """Whether texts are among others, in their order; line ends around them do not count."""
    rest = iter(map(str.strip, every))
    return all(any(text.strip() == other for other in rest) for text in some)


def runs(made, tokenizer):
    """The texts that are learnt."""
    pieces = [bytes_of(tokenizer, token) for token in made.ids]
    starts = [n for n, on in enumerate(made.loss) if on and not (n and made.loss[n - 1])]
    stops = [n for n, on in enumerate([*made.loss, False]) if n and made.loss[n - 1] and not on]
    return [b"".join(pieces[a:b]).decode() for a, b in zip(starts, stops, strict=True)]


def bytes_of(tokenizer, token):
    piece = tokenizer.piece(token)
    return piece if isinstance(piece, bytes) else tokenizer.id_to_token(token).encode()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_replies_and_their_ends_are_learnt(tokenizer, name, shape):
    preprocessor = with_template(tokenizer, name)
    turns, arguments = SHAPES[shape]
    try:
        oracle = Oracle(name, tokenizer, turns, arguments)
    except ChatTemplateError:
        with pytest.raises(ChatTemplateError):
            of_messages(preprocessor, turns, arguments)
        return
    spans = oracle.spans()
    if spans[-1] is None:
        with pytest.raises(PromptError, match=rf"messages\[{oracle.learnt[-1]}\]: expected the"):
            of_messages(preprocessor, turns, arguments)
        return
    made = of_messages(preprocessor, turns, arguments)
    text = oracle.text[: spans[-1][1]] + ("" if oracle.end else EOS)
    assert b"".join(bytes_of(tokenizer, token) for token in made.ids).decode() == text
    if rewrites(name, turns):
        said = [turn["content"] for turn in map(oracle.turns.__getitem__, oracle.learnt)]
        *earlier, last = runs(made, tokenizer)
        assert last == oracle.text[slice(*spans[-1])]
        assert is_part(
            map(without_thought, earlier), [without_thought(t) + oracle.end for t in said]
        )
        return
    learnt = np.zeros(len(text), bool)
    for start, end in filter(None, [*spans, (spans[-1][1], len(text))]):
        learnt[start:end] = True
    wanted = np.repeat(learnt, [len(letter.encode()) for letter in text])
    got = np.repeat(made.loss, [len(bytes_of(tokenizer, token)) for token in made.ids])
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["chatml", "llama2", "no end", "letters"])
def test_a_longer_conversation_takes_no_more_renderings(tokenizer, name, monkeypatch):
    preprocessor = with_template(tokenizer, name)
    written, render = [], renderer.render
    monkeypatch.setattr(
        renderer, "render", lambda *given: written.append(render(*given)) or written[-1]
    )
    counts = []
    for number in (3, 30):
        written.clear()
        turns = [turn for n in range(number) for turn in (user(f"q{n}"), reply(f"a{n}"))]
        of_messages(preprocessor, turns)
        counts.append(len(written))
    assert counts[0] == counts[1] <= 7


def test_the_ids_are_those_of_the_conversation_in_one_piece():
    tokenizer = stories()
    for name in ("chatml", "llama2", "vicuna", "letters"):
        preprocessor = with_template(tokenizer, name)
        turns = [user("The fox?"), reply("It ran."), user("And the owl?"), reply("It sat down.")]
        made = of_messages(preprocessor, turns)
        whole = preprocessor.chat_ids(turns, {"add_generation_prompt": False})
        assert made.ids == whole[: len(made.ids)]
        asked = preprocessor.chat_ids(turns[:3])
        assert made.ids[: len(asked)] == asked and made.loss[len(asked)]


def test_a_reply_whose_letters_run_into_those_before_it_is_cut_off_there():
    preprocessor = with_template(stories(), "no end")
    turns = [user("The fox?"), reply("It ran.")]
    made = of_messages(preprocessor, turns)
    asked = preprocessor.chat_ids(turns[:1])
    assert made.ids[: len(asked)] == asked
    assert made.loss == [False] * len(asked) + [True] * (len(made.ids) - len(asked))


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([user("hi"), reply("yo", weight=2)], r"messages\[1\]: weight: expected 0 or 1, got 2"),
        ([user("hi"), reply("yo", weight=0)], "at least one of the assistant to learn, got none"),
        ([user([{"type": "image", "image": "a.png"}]), reply("yo")], "expected no pictures"),
    ],
)
def test_what_cannot_be_learnt_is_named(tokenizer, turns, words):
    with pytest.raises(PromptError, match=words):
        of_messages(with_template(tokenizer, "chatml"), turns)


def test_a_template_that_leaves_out_replies_is_named(tokenizer):
    tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(ChatTemplateError, match="leaves out the reply"):
        of_messages(CausalLMPreprocessor(tokenizer), TWO)


@pytest.mark.parametrize("name", TEMPLATES)
def test_replies_are_stopped_by_what_is_learnt_at_their_end(tokenizer, name):
    tokenizer.chat_template = TEMPLATES[name]
    stops = stops_of_turn(ChatTemplate(TEMPLATES[name]), tokenizer)
    end = end_of(name, tokenizer)
    assert set(tokenizer.stop_token_ids) <= set(stops.token_ids)
    if tokenizer.has_token(end):
        assert tokenizer.token_to_id(end) in stops.token_ids
    else:
        assert stops.sequences == ((end,) if end else ())
