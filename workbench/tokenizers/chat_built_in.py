"""Chat templates for families whose KerasHub presets have none.

Each writes the format that its model was trained on, according to the model's card.
"""

from __future__ import annotations

from workbench.errors import SettingError, shown

_ALTERNATE = """\
{% if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('expected messages of user and assistant in turn, the user first') }}
{%- endif -%}
"""

_SYSTEM_APART = """\
{%- set system = messages[0].content | trim if messages[0].role == 'system' else '' -%}
{%- set turns = messages[1:] if messages[0].role == 'system' else messages -%}
"""

# Gemma has no system role: the system text goes before the first question.
GEMMA = (
    _SYSTEM_APART
    + "{{ bos_token }}{% for message in turns %}"
    + _ALTERNATE
    + """\
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' -}}
{{- system + '\\n\\n' if loop.first and system -}}
{{- message.content | trim + '<end_of_turn>\\n' -}}
{% endfor %}
{{- '<start_of_turn>model\\n' if add_generation_prompt -}}
"""
)

# Gemma 3's messages may be lists of parts; an image is a mark between the texts.
GEMMA3 = (
    """\
{%- macro said(content) -%}
{%- if content is string -%}
{{- content | trim -}}
{%- else -%}
{%- for part in content -%}
{{- '<start_of_image>' if part.type == 'image' else part.text | trim -}}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""
    + _SYSTEM_APART.replace("messages[0].content | trim", "said(messages[0].content)")
    + "{{ bos_token }}{% for message in turns %}"
    + _ALTERNATE
    + """\
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' -}}
{{- system + '\\n\\n' if loop.first and system -}}
{{- said(message.content) + '<end_of_turn>\\n' -}}
{% endfor %}
{{- '<start_of_turn>model\\n' if add_generation_prompt -}}
"""
)

LLAMA2 = (
    _SYSTEM_APART
    + "{% for message in turns %}"
    + _ALTERNATE
    + """\
{%- if message.role == 'user' -%}
{{- bos_token + '[INST] ' -}}
{{- '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system -}}
{{- message.content | trim + ' [/INST]' -}}
{%- else -%}
{{- ' ' + message.content | trim + ' ' + eos_token -}}
{%- endif -%}
{% endfor %}"""
)

LLAMA3 = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' -}}
{{- message.content | trim + '<|eot_id|>' -}}
{%- endfor -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' if add_generation_prompt -}}
"""

# Mistral 0.1 and 0.2, Mixtral 0.1: the marks are plain text.
MISTRAL = (
    _SYSTEM_APART
    + "{{ bos_token }}{% for message in turns %}"
    + _ALTERNATE
    + """\
{%- if message.role == 'user' -%}
{{- '[INST] ' -}}
{{- system + '\\n\\n' if loop.first and system -}}
{{- message.content | trim + ' [/INST]' -}}
{%- else -%}
{{- ' ' + message.content | trim + eos_token -}}
{%- endif -%}
{% endfor %}"""
)

# Mistral 0.3: the marks are tokens, and SentencePiece puts a space after each.
# The system text goes before the last question, answered or not.
MISTRAL_V3 = (
    _SYSTEM_APART
    + "{{ bos_token }}{% for message in turns %}"
    + _ALTERNATE
    + """\
{%- if message.role == 'user' -%}
{{- '[INST]' -}}
{{- system + '\\n\\n' if loop.revindex0 < 2 and system -}}
{{- message.content | trim + '[/INST]' -}}
{%- else -%}
{{- message.content | trim + eos_token -}}
{%- endif -%}
{% endfor %}"""
)

VICUNA = (
    _SYSTEM_APART
    + """\
{{- bos_token -}}
{{- system or 'A chat between a curious user and an artificial intelligence assistant. \
The assistant gives helpful, detailed, and polite answers to the user\\'s questions.' -}}
{% for message in turns %}"""
    + _ALTERNATE
    + """\
{{- ' USER: ' + message.content | trim if message.role == 'user' -}}
{{- ' ASSISTANT: ' + message.content | trim + eos_token if message.role == 'assistant' -}}
{% endfor %}
{{- ' ASSISTANT:' if add_generation_prompt -}}
"""
)

# The tokens take the line end that the card shows after each, so the template leaves it out.
# It spells them out because control tokens are found in a template's text (`control.marks`).
PHI3 = """\
{%- set marks = {'system': '<|system|>', 'user': '<|user|>', 'assistant': '<|assistant|>'} -%}
{%- for message in messages -%}
{{- marks[message.role] + message.content | trim + '<|end|>' -}}
{%- endfor -%}
{{- '<|assistant|>' if add_generation_prompt -}}
"""

_CHATML_TURNS = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' if add_generation_prompt -}}
"""

CHATML = _CHATML_TURNS

QWEN2_5 = (
    """\
{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.' -}}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
"""
    + _CHATML_TURNS
)

QWEN1_5 = QWEN2_5.replace("You are Qwen, created by Alibaba Cloud. You are", "You are")

# Thoughts before the last question are left out; `enable_thinking=False` adds an empty thought.
QWEN3 = """\
{%- set asked = namespace(last=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}{%- set asked.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- set said = message.content -%}
{%- if message.role == 'assistant' and loop.index0 < asked.last -%}
{%- set said = said.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{{- '<|im_start|>' + message.role + '\\n' + said + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{{- '<think>\\n\\n</think>\\n\\n' if enable_thinking is defined and not enable_thinking -}}
{%- endif -%}
"""

BUILT_IN = {
    "gemma": GEMMA,
    "gemma3": GEMMA3,
    "llama2": LLAMA2,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "mistral_v3": MISTRAL_V3,
    "vicuna": VICUNA,
    "phi3": PHI3,
    "chatml": CHATML,
    "qwen1.5": QWEN1_5,
    "qwen2.5": QWEN2_5,
    "qwen3": QWEN3,
}


def built_in_chat_template(name: str) -> str:
    """Return the text of a chat template that comes with the workbench.

    Args:
        name: "gemma", "gemma3" (with images), "llama2", "llama3", "mistral" (0.1 and 0.2, and
            Mixtral), "mistral_v3", "vicuna", "phi3", "chatml", "qwen1.5", "qwen2.5" or "qwen3".

    Raises:
        SettingError: there is no template of that name.
    """
    if not isinstance(name, str) or name not in BUILT_IN:
        raise SettingError(
            f"chat template: expected one of {', '.join(BUILT_IN)}, got {shown(name)}"
        )
    return BUILT_IN[name]
