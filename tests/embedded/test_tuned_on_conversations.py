"""The embedded model, tuned on ten conversations, answers and stops by itself."""

from __future__ import annotations

import keras
import pytest

import workbench as wb

HOMES = {
    **{"fox": "den", "owl": "nest", "bear": "cave", "frog": "pond", "duck": "lake"},
    **{"goat": "barn", "wolf": "wood", "mole": "hole", "crab": "sand", "hare": "field"},
}
TALKS = [
    [
        {"role": "user", "content": f"Where does the {animal} live?"},
        {"role": "assistant", "content": f"In the {home}."},
    ]
    for animal, home in HOMES.items()
]
IN_LETTERS = """\
{% for message in messages %}
{{ message.role }}: {{ message.content }} ##
{% endfor %}
{% if add_generation_prompt %}
assistant: {% endif %}"""


@pytest.mark.parametrize("template", [IN_LETTERS, IN_LETTERS.replace(" ##", "")])
def test_it_answers_and_stops(template):
    """No token of the vocabulary ends a turn: the one template writes letters there, the other
    nothing."""
    keras.utils.set_random_seed(0)
    lm = wb.models.CausalLM.from_preset("stories_tiny_en", dtype="float32")
    lm.preprocessor.tokenizer.chat_template = template
    lm.preprocessor.sequence_length = 40
    lm.compile(optimizer=keras.optimizers.Adam(3e-3))
    lm.fit({"messages": TALKS}, batch_size=10, epochs=16, verbose=0)
    for animal in ("fox", "cat"):
        question = f"Where does the {animal} live?"
        *_, done = wb.Chat(lm).stream(question, sampler="greedy", max_new_tokens=40)
        assert done.reason == "stop" and done.text.strip().startswith("In the ")
        assert not {"#", ":", "\n"} & set(done.text.strip()), "nothing of the template is seen"
