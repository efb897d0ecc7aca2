"""Adapters on disk: PEFT folders, and the files of KerasHub's `save_lora_weights`."""
