"""The names of the files in a preset folder."""

CONFIG = "config.json"
METADATA = "metadata.json"
TASK = "task.json"
TASK_WEIGHTS = "task.weights.h5"
PREPROCESSOR = "preprocessor.json"
TOKENIZER = "tokenizer.json"
CONVERTERS = {
    "image_converter": "image_converter.json",
    "audio_converter": "audio_converter.json",
}
TRANSFORMERS_PREPROCESSOR = "preprocessor_config.json"
CHAT_TEMPLATE = "chat_template.jinja"  # ours and Transformers'; KerasHub ignores it
ASSETS = "assets"
CHECKSUMS = "workbench.sha256"
ADAPTER_CHECKSUMS = "workbench_adapter.sha256"
