"""Makes `hf/*/trace.npz`, what goes on inside the models of `hf/`: needs torch and transformers.

    python tests/data/goldens/make_traces.py [names...]

The weights are those that are there. One sequence of ids, float32, "eager" attention, no batch
axis. `hidden_states` (L + 1, T, W) are Transformers' own: the last is after the final norm, so what
the last layer gives is beside it as `last` (T, W). `attention_output` and `mlp_output` (L, T, W)
are what the last matrix of a branch gives. Of BART both stacks are there, `encoder_` before the
names of the one, and `cross_attentions` (L, H, T, S).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

HERE = Path(__file__).parent / "hf"
TOKENS, SOURCE_TOKENS = 9, 7
# Where a model keeps its layers, and the last matrices of a layer's two branches.
USUAL = ("model.layers", "self_attn.o_proj", "mlp.down_proj")
PLACES = {
    "llama": USUAL,
    "mistral_window": USUAL,
    "qwen3": USUAL,
    "gemma": USUAL,
    "gemma2": USUAL,
    "gemma3_text": USUAL,
    "gpt2": ("transformer.h", "attn.c_proj", "mlp.c_proj"),
    "bloom": ("transformer.h", "self_attention.dense", "mlp.dense_4h_to_h"),
    "falcon_rope_mqa": ("transformer.h", "self_attention.dense", "mlp.dense_4h_to_h"),
}
BART = ("layers", "self_attn.out_proj", "fc2")


class Seen:
    """The outputs of modules, in the order they ran."""

    def __init__(self, modules: list[torch.nn.Module]) -> None:
        self.outputs: list[np.ndarray] = []
        for module in modules:
            module.register_forward_hook(self._keep)

    def _keep(self, module: torch.nn.Module, inputs: tuple, output: object) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        # A copy: Falcon adds to its outputs in place.
        self.outputs.append(tensor.reshape(-1, tensor.shape[-1]).numpy().copy())

    @property
    def array(self) -> np.ndarray:
        return np.stack(self.outputs)


class Watch:
    """What `PLACES` names of one stack of layers."""

    def __init__(self, model: torch.nn.Module, layers: str, attention: str, mlp: str) -> None:
        blocks = list(model.get_submodule(layers))
        self.attention = Seen([block.get_submodule(attention) for block in blocks])
        self.mlp = Seen([block.get_submodule(mlp) for block in blocks])
        self.last = Seen(blocks[-1:])

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "last": self.last.array[0],
            "attention_output": self.attention.array,
            "mlp_output": self.mlp.array,
        }


def joined(tensors: tuple[torch.Tensor, ...]) -> np.ndarray:
    return np.stack([tensor[0].numpy() for tensor in tensors])


def draw(vocabulary: int, tokens: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocabulary, (1, tokens), generator=generator)


def causal(name: str) -> dict[str, np.ndarray]:
    model = AutoModelForCausalLM.from_pretrained(
        HERE / name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    watch = Watch(model, *PLACES[name])
    ids = draw(model.config.vocab_size, TOKENS, 5)
    out = model(ids, output_hidden_states=True, output_attentions=True, use_cache=False)
    return {
        "ids": ids[0].numpy(),
        "hidden_states": joined(out.hidden_states),
        "attentions": joined(out.attentions),
        "logits": out.logits[0].numpy(),
        **watch.arrays(),
    }


def bart() -> dict[str, np.ndarray]:
    model = AutoModelForSeq2SeqLM.from_pretrained(
        HERE / "bart", dtype=torch.float32, attn_implementation="eager"
    ).eval()
    stacks = {"": model.get_decoder(), "encoder_": model.get_encoder()}
    watches = {prefix: Watch(stack, *BART) for prefix, stack in stacks.items()}
    ids = draw(model.config.vocab_size, SOURCE_TOKENS, 5)
    decoder_ids = draw(model.config.vocab_size, TOKENS, 6)
    out = model(
        input_ids=ids,
        decoder_input_ids=decoder_ids,
        output_hidden_states=True,
        output_attentions=True,
        use_cache=False,
    )
    inside = {
        f"{prefix}{name}": array
        for prefix, watch in watches.items()
        for name, array in watch.arrays().items()
    }
    return {
        "ids": ids[0].numpy(),
        "decoder_ids": decoder_ids[0].numpy(),
        "hidden_states": joined(out.decoder_hidden_states),
        "attentions": joined(out.decoder_attentions),
        "cross_attentions": joined(out.cross_attentions),
        "encoder_hidden_states": joined(out.encoder_hidden_states),
        "encoder_attentions": joined(out.encoder_attentions),
        "logits": out.logits[0].numpy(),
        **inside,
    }


def main(names: list[str]) -> None:
    for name in names or [*PLACES, "bart"]:
        with torch.no_grad():
            arrays = bart() if name == "bart" else causal(name)
        np.savez_compressed(HERE / name / "trace.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
