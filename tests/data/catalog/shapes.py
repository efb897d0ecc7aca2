"""The sizes of the networks behind the presets, from the configurations their makers publish.

`check` compares every one with the number of parameters of its presets, so that a mistyped size
is found. `None` stands for what no public configuration told us.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    layers: int | None
    hidden_dim: int | None
    intermediate_dim: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    vocabulary_size: int | None
    window: int | None = None
    tied: bool = True
    matrices: int = 3  # of a feed-forward network: 3 gated, 2 dense
    experts: int = 1
    shared: int = 0  # width of the expert that every token uses
    encoder: bool = False  # an equal encoder stands beside it
    tables: int = 1
    places: int = 0  # rows of learned positions

    def parameters(self) -> int:
        """Numbers in the matrices."""
        attention = self.hidden_dim * self.head_dim * 2 * (self.heads + self.kv_heads)
        inner = self.intermediate_dim * self.experts + self.shared
        mlp = self.matrices * self.hidden_dim * inner
        table = self.vocabulary_size * self.hidden_dim
        layers = attention + mlp + (2 * attention + mlp if self.encoder else 0)
        tables = table * (self.tables if self.tied else 2)
        return self.layers * layers + tables + self.places * self.hidden_dim

    def facts(self) -> dict[str, Any]:
        """What of it the catalog holds."""
        held = (
            *("layers", "hidden_dim", "intermediate_dim", "heads", "kv_heads", "head_dim"),
            *("vocabulary_size", "window"),
        )
        everything = asdict(self)
        return {name: everything[name] for name in held}


def _bert(layers: int, width: int, vocabulary: int) -> Shape:
    """Rows of positions, of the two segments, and of the matrix that pools the first token."""
    heads = width // 64
    sizes = (layers, width, 4 * width, heads, heads, 64, vocabulary)
    return Shape(*sizes, matrices=2, places=512 + 2 + width)


def _bart(layers: int, width: int, heads: int) -> Shape:
    sizes = (layers, width, 4 * width, heads, heads, 64, 50265)
    return Shape(*sizes, matrices=2, encoder=True, places=2048)


def _bloom(layers: int, width: int, heads: int) -> Shape:
    return Shape(layers, width, 4 * width, heads, heads, width // heads, 250880, matrices=2)


def _gpt2(layers: int, width: int) -> Shape:
    return Shape(
        layers, width, 4 * width, width // 64, width // 64, 64, 50257, matrices=2, places=1024
    )


def _opt(layers: int, width: int, heads: int) -> Shape:
    return Shape(
        layers, width, 4 * width, heads, heads, width // heads, 50272, matrices=2, places=2048
    )


def _t5gemma(layers: int, width: int, inner: int) -> Shape:
    heads = width // 64
    sizes = (layers, width, inner, heads, heads, 64, 256000, 4096)
    return Shape(*sizes, encoder=True, tables=2)


def _pali(text: Shape) -> Shape:
    return Shape(**{**asdict(text), "vocabulary_size": 257152})


UNKNOWN = Shape(None, None, None, None, None, None, None)
GEMMA_2B = Shape(18, 2048, 16384, 8, 1, 256, 256000)
GEMMA2_2B = Shape(26, 2304, 9216, 8, 4, 256, 256000, 4096)
GEMMA2_9B = Shape(42, 3584, 14336, 16, 8, 256, 256000, 4096)
GEMMA2_27B = Shape(46, 4608, 36864, 32, 16, 128, 256000, 4096)

SHAPES = {
    "bert_tiny_uncased": _bert(2, 128, 30522),
    "bert_small_uncased": _bert(4, 512, 30522),
    "bert_medium_uncased": _bert(8, 512, 30522),
    "bert_base_uncased": _bert(12, 768, 30522),
    "bert_base_en": _bert(12, 768, 28996),
    "bert_base_zh": _bert(12, 768, 21128),
    "bert_base_multi": _bert(12, 768, 119547),
    "bert_large_uncased": _bert(24, 1024, 30522),
    "bert_large_en": _bert(24, 1024, 28996),
    "bart_base": _bart(6, 768, 12),
    "bart_large": _bart(12, 1024, 16),
    "bloom_560m": _bloom(24, 1024, 16),
    "bloom_1.1b": _bloom(24, 1536, 16),
    "bloom_1.7b": _bloom(24, 2048, 16),
    "bloom_3b": _bloom(30, 2560, 32),
    "falcon_1b": Shape(24, 2048, 8192, 32, 32, 64, 50304, matrices=2),
    "vault_gemma": Shape(26, 1152, 6912, 4, 4, 256, 256000, 512),
    "gemma_2b": GEMMA_2B,
    "gemma_7b": Shape(28, 3072, 24576, 16, 16, 256, 256000),
    "gemma2_2b": GEMMA2_2B,
    "gemma2_9b": GEMMA2_9B,
    "gemma2_27b": GEMMA2_27B,
    "gemma3_270m": Shape(18, 640, 2048, 4, 1, 256, 262144, 512),
    "gemma3_1b": Shape(26, 1152, 6912, 4, 1, 256, 262144, 512),
    "gemma3_4b": Shape(34, 2560, 10240, 8, 4, 256, 262144, 1024),
    "gemma3_12b": Shape(48, 3840, 15360, 16, 8, 256, 262144, 1024),
    "gemma3_27b": Shape(62, 5376, 21504, 32, 16, 128, 262144, 1024),
    "gpt2_base": _gpt2(12, 768),
    "gpt2_medium": _gpt2(24, 1024),
    "gpt2_large": _gpt2(36, 1280),
    "gpt2_extra_large": _gpt2(48, 1600),
    "llama2_7b": Shape(32, 4096, 11008, 32, 32, 128, 32000, tied=False),
    "llama3.2_1b": Shape(16, 2048, 8192, 32, 8, 64, 128256, tied=False),
    "llama3.2_3b": Shape(28, 3072, 8192, 24, 8, 128, 128256, tied=False),
    "llama3_8b": Shape(32, 4096, 14336, 32, 8, 128, 128256, tied=False),
    "mistral_0.1": Shape(32, 4096, 14336, 32, 8, 128, 32000, 4096, tied=False),
    "mistral_0.2": Shape(32, 4096, 14336, 32, 8, 128, 32000, tied=False),
    "mistral_0.3": Shape(32, 4096, 14336, 32, 8, 128, 32768, tied=False),
    "mixtral": Shape(32, 4096, 14336, 32, 8, 128, 32000, tied=False, experts=8),
    "opt_125m": _opt(12, 768, 12),
    "opt_1.3b": _opt(24, 2048, 32),
    "opt_2.7b": _opt(32, 2560, 32),
    "opt_6.7b": _opt(32, 4096, 32),
    "pali_gemma_2b": _pali(GEMMA_2B),
    "pali_gemma2_2b": _pali(GEMMA2_2B),
    "pali_gemma2_9b": _pali(GEMMA2_9B),
    "pali_gemma2_27b": _pali(GEMMA2_27B),
    "phi3_4k": Shape(32, 3072, 8192, 32, 32, 96, 32064, 2047, tied=False),
    "phi3_128k": Shape(32, 3072, 8192, 32, 32, 96, 32064, 262144, tied=False),
    "qwen2.5_0.5b": Shape(24, 896, 4864, 14, 2, 64, 151936),
    "qwen2.5_3b": Shape(36, 2048, 11008, 16, 2, 128, 151936),
    "qwen2.5_7b": Shape(28, 3584, 18944, 28, 4, 128, 152064, tied=False),
    "qwen2.5_32b": Shape(64, 5120, 27648, 40, 8, 128, 152064, tied=False),
    "qwen2.5_72b": Shape(80, 8192, 29568, 64, 8, 128, 152064, tied=False),
    "smollm3_3b": Shape(36, 2048, 11008, 16, 4, 128, 128256),
    "qwen3_0.6b": Shape(28, 1024, 3072, 16, 8, 128, 151936),
    "qwen3_1.7b": Shape(28, 2048, 6144, 16, 8, 128, 151936),
    "qwen3_4b": Shape(36, 2560, 9728, 32, 8, 128, 151936),
    "qwen3_8b": Shape(36, 4096, 12288, 32, 8, 128, 151936, tied=False),
    "qwen3_14b": Shape(40, 5120, 17408, 40, 8, 128, 151936, tied=False),
    "qwen3_32b": Shape(64, 5120, 25600, 64, 8, 128, 151936, tied=False),
    "qwen3_moe_30b": Shape(48, 2048, 768, 32, 4, 128, 151936, tied=False, experts=128),
    "qwen3_moe_235b": Shape(94, 4096, 1536, 64, 4, 128, 151936, tied=False, experts=128),
    "qwen1.5_moe": Shape(24, 2048, 1408, 16, 16, 128, 151936, tied=False, experts=60, shared=5632),
    "t5gemma_s": _t5gemma(8, 512, 1024),
    "t5gemma_b": _t5gemma(12, 768, 2048),
    "t5gemma_l": _t5gemma(24, 1024, 2816),
    "t5gemma_xl": _t5gemma(24, 2048, 5120),
    "t5gemma_2b": Shape(**{**asdict(GEMMA2_2B), "encoder": True, "tables": 2}),
    # The decoder's sizes; its encoder is Gemma 2 9B.
    "t5gemma_9b_2b": GEMMA2_2B,
    "t5gemma_9b": Shape(**{**asdict(GEMMA2_9B), "encoder": True, "tables": 2}),
    "t5gemma_ml": UNKNOWN,
    "moonshine_tiny": Shape(6, 288, 1152, 8, 8, 36, 32768),
    "moonshine_base": Shape(8, 416, 1664, 8, 8, 52, 32768),
    "parseq": Shape(12, 384, 1536, None, None, None, None),
}
# Towers beside the decoder, or an encoder of other sizes: the decoder's sizes do not make the sum.
NOT_CHECKED = ("pali", "t5gemma_9b_2b", "t5gemma_ml", "moonshine", "parseq")


def check(key: str, parameters: int, vision: bool) -> None:
    """Refuse a shape whose matrices do not add up to the parameters, norms and biases aside."""
    if key.startswith(NOT_CHECKED):
        return
    found = SHAPES[key].parameters() + (420_000_000 if vision else 0)
    if abs(found / parameters - 1) > 0.004:
        raise SystemExit(
            f"{key}: the sizes make {found:,} parameters, the preset has {parameters:,}"
        )
