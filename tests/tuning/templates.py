"""Chat templates with the features of those that models come with, beside the built-in ones."""

from __future__ import annotations

from workbench.tokenizers.chat_built_in import BUILT_IN

MERGED = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] + '\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- set content = (system if loop.first else '') + message['content'].strip() -%}
    {%- if message['role'] == 'user' -%}
        {{- '<|user|>' + content -}}
    {%- elif message['role'] == 'assistant' -%}
        {{- '<|model|>' + content + '<|stop|>' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|model|>' -}}{%- endif -%}
"""

TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

# Thoughts stay with the replies after the last question, and are cut from those before it.
THINKING = """\
{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if ns.last < 0 and message.role == 'user' %}
        {%- set ns.last = messages | length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content %}
        {%- endif %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

# The model begins with a thought, and none is in the history: no reply stands where it would.
THINKS_FIRST = """\
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '<|User|>' + message.content }}
    {%- elif message.role == 'assistant' %}
        {{- '<|Assistant|>' + message.content.split('</think>')[-1] + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{%- endif %}
"""

NO_END = """\
{% for message in messages %}
{{ 'USER: ' if message['role'] == 'user' else 'ASSISTANT: ' }}{{ message['content'] }}
{% endfor %}
{% if add_generation_prompt %}
ASSISTANT: {% endif %}
"""

LETTERS = """\
{% for message in messages %}
{% if message['role'] == 'system' %}
{{ message['content'] }}

{% elif message['role'] == 'user' %}
### Instruction:
{{ message['content'] }}

{% else %}
### Response:
{{ message['content'] }}

### End

{% endif %}
{% endfor %}
{% if add_generation_prompt %}
### Response:
{% endif %}
"""

# As Llama 3's first one did.
ALWAYS_BEGINS = """\
{%- for message in messages -%}
{{- (bos_token if loop.first else '') + '<|head|>' + message['role'] + '<|tail|>\\n\\n' -}}
{{- message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{{- '<|head|>assistant<|tail|>\\n\\n' -}}
"""

END_AT_LAST = """\
{%- for message in messages -%}
{{- message.role + ': ' + message.content + ('' if loop.last else '\\n') -}}
{%- endfor -%}
{{- '\\nassistant: ' if add_generation_prompt else eos_token -}}
"""

JSON_LINES = """\
{%- for message in messages -%}
{{- '{"role": "' + message.role + '", "content": ' + message.content | tojson + '}\\n' -}}
{%- endfor -%}
{{- '{"role": "assistant", "content": "' if add_generation_prompt -}}
"""

PARTS = """\
{%- for message in messages -%}
{{- '<turn>' + message.role + '\\n' -}}
{%- for part in message.content -%}{{- part.text | trim if part.type == 'text' -}}{%- endfor -%}
{{- '</turn>\\n' -}}
{%- endfor -%}
{{- '<turn>assistant\\n' if add_generation_prompt -}}
"""

ONLY_ROLES = """\
{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}
{% endfor %}"""

SEPARATED = """\
{%- for message in messages -%}
{{- '[' + message.role + '] ' + message.content + ' [/' + message.role + ']' -}}
{{- ' ' if not loop.last -}}
{%- endfor -%}
{{- ' [assistant] ' if add_generation_prompt -}}
"""

COUNTED = """\
{%- for message in messages -%}
{{- '<|im_start|>' ~ messages | length ~ message.role + ' ' + message.content + '<|im_end|>' -}}
{%- endfor -%}
{{- '<|im_start|>' ~ messages | length ~ 'assistant ' if add_generation_prompt -}}
"""

FOREIGN = {
    "merged": MERGED,
    "tools": TOOLS,
    "thinking": THINKING,
    "thinks first": THINKS_FIRST,
    "no end": NO_END,
    "letters": LETTERS,
    "always begins": ALWAYS_BEGINS,
    "end at last": END_AT_LAST,
    "json lines": JSON_LINES,
    "parts": PARTS,
    "only roles": ONLY_ROLES,
    "separated": SEPARATED,
    "counted": COUNTED,
}

TEMPLATES = BUILT_IN | FOREIGN

EOS = "<|endoftext|>"

ENDS = {
    "gemma": "<end_of_turn>",
    "gemma3": "<end_of_turn>",
    "llama2": EOS,
    "llama3": "<|eot_id|>",
    "mistral": EOS,
    "mistral_v3": EOS,
    "vicuna": EOS,
    "phi3": "<|end|>",
    "chatml": "<|im_end|>",
    "qwen1.5": "<|im_end|>",
    "qwen2.5": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "merged": "<|stop|>",
    "tools": "<|im_end|>",
    "thinking": "<|im_end|>",
    "thinks first": EOS,
    "no end": "",
    "letters": "### End",
    "always begins": "<|eot_id|>",
    "end at last": EOS,
    "json lines": '"}',
    "parts": "</turn>",
    "only roles": EOS,
    "separated": "[/assistant]",
    "counted": "<|im_end|>",
}
"""What each writes at the end of a reply, read off by hand."""

MARKS = (
    *("<start_of_turn>", "<end_of_turn>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|end|>"),
    *("<|start_header_id|>", "<|end_header_id|>", "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|model|>", "<|stop|>", "<|User|>", "<|Assistant|>", "[INST]", "[/INST]", "<|head|>"),
)
