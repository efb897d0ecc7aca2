"""What the presets are, in our own words; sizes are in `shapes.py`.

Licences and gates are those of the makers' model cards.
"""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GEMMA = ("Gemma", True)
APACHE = ("Apache-2.0", False)
MIT = ("MIT", False)
LLAMA2 = ("Llama 2", True)
RAIL = ("BigScience RAIL 1.0", False)
OPT = ("OPT-175B (non-commercial)", False)


@dataclass(frozen=True)
class Row:
    name: str
    shape: str
    family: str
    backbone: str
    terms: tuple[str, bool]  # licence, gated
    context: int | None
    origin: str | None  # repository at Hugging Face
    description: str
    instruct: bool = False
    modality: str = "text"
    image_prefix: int | None = None  # tokens of a picture beside those of the text
    stored: str = "bfloat16"


def rows() -> list[Row]:
    """All presets, in the order of the families' names."""
    makers = (
        *(_bart, _bloom, _falcon, _vault_gemma, _gemma, _code_gemma, _gemma2, _gemma3, _gpt2),
        *(_llama2, _llama3, _mistral, _mixtral, _moonshine, _opt, _pali_gemma, _pali_gemma2),
        *(_parseq, _phi3, _qwen25, _qwen3, _qwen_moe, _smollm3, _t5gemma),
    )
    return [row for make in makers for row in make()]


def classifier_rows() -> list[Row]:
    """The encoders that text classifiers start from, and one that is trained."""
    return list(_bert())


def _bert() -> Iterator[Row]:
    text = "{} encoder for text classifiers, {} layers, trained on {}."
    english = "English Wikipedia and books"
    for size, layers in (("tiny", 2), ("small", 4), ("medium", 8), ("base", 12), ("large", 24)):
        yield Row(f"bert_{size}_en_uncased", f"bert_{size}_uncased", "BERT", "BertBackbone", APACHE,
                  512, None, text.format("Lower-case English", layers, english),
                  stored="float32")  # fmt: skip
    for size, layers in (("base", 12), ("large", 24)):
        yield Row(f"bert_{size}_en", f"bert_{size}_en", "BERT", "BertBackbone", APACHE, 512,
                  f"google-bert/bert-{size}-cased", text.format("English", layers, english),
                  stored="float32")  # fmt: skip
    for name, about in (("zh", "Chinese Wikipedia"), ("multi", "Wikipedia in 104 languages")):
        kind = "Chinese" if name == "zh" else "Multilingual"
        yield Row(f"bert_base_{name}", f"bert_base_{name}", "BERT", "BertBackbone", APACHE, 512,
                  None, text.format(kind, 12, about), stored="float32")  # fmt: skip
    yield Row("bert_tiny_en_uncased_sst2", "bert_tiny_uncased", "BERT", "BertBackbone", APACHE, 512,
              None, "Two-layer BERT that tells whether a film review is positive (SST-2).",
              stored="float32")  # fmt: skip


def _bart() -> Iterator[Row]:
    for size, layers in (("base", 6), ("large", 12)):
        text = f"Encoder-decoder pretrained to restore corrupted English text, {layers} layers each side."
        yield Row(f"bart_{size}_en", f"bart_{size}", "BART", "BartBackbone", APACHE, 1024,
                  f"facebook/bart-{size}", text, stored="float32")  # fmt: skip
    yield Row("bart_large_en_cnn", "bart_large", "BART", "BartBackbone", MIT, 1024,
              "facebook/bart-large-cnn", "BART large tuned to summarise news articles (CNN and Daily Mail).",
              stored="float32")  # fmt: skip


def _bloom() -> Iterator[Row]:
    for size, origin in (("560m", "560m"), ("1.1b", "1b1"), ("1.7b", "1b7"), ("3b", "3b")):
        for name, tuned in (("bloom", False), ("bloomz", True)):
            text = (
                "BLOOM tuned on prompted tasks in many languages (xP3), so that it follows instructions."
                if tuned
                else "Multilingual base model of the BigScience workshop: 45 human and 12 programming languages."
            )
            yield Row(f"{name}_{size}_multi", f"bloom_{size}", name.upper(), "BloomBackbone", RAIL,
                      2048, f"bigscience/{name}-{origin}", text, tuned, stored="float32")  # fmt: skip


def _falcon() -> Iterator[Row]:
    text = "Base model trained on 350 billion tokens of filtered English web pages (RefinedWeb)."
    yield Row("falcon_refinedweb_1b_en", "falcon_1b", "Falcon", "FalconBackbone", APACHE, 2048,
              "tiiuae/falcon-rw-1b", text, stored="float32")  # fmt: skip


def _vault_gemma() -> Iterator[Row]:
    text = "Small base model trained from the start with differential privacy."
    yield Row("vault_gemma_1b_en", "vault_gemma", "VaultGemma", "GemmaBackbone", GEMMA, 1024,
              "google/vaultgemma-1b", text)  # fmt: skip


def _gemma() -> Iterator[Row]:
    for size in ("2b", "7b"):
        kinds = (
            (f"gemma_{size}_en", f"gemma-{size}", False, "Base model of the first Gemma generation."),
            (f"gemma_instruct_{size}_en", f"gemma-{size}-it", True,
             "First Gemma generation, tuned to follow instructions."),
            (f"gemma_1.1_instruct_{size}_en", f"gemma-1.1-{size}-it", True,
             "Gemma 1.1: the instruction-tuned model trained anew for better answers."),
        )  # fmt: skip
        for name, origin, tuned, text in kinds:
            yield Row(name, f"gemma_{size}", "Gemma", "GemmaBackbone", GEMMA, 8192,
                      f"google/{origin}", text, tuned)  # fmt: skip


def _code_gemma() -> Iterator[Row]:
    complete = "Completes code, also in the middle of a file."
    kinds = (
        ("code_gemma_2b_en", "2b", "codegemma-2b", False, complete),
        ("code_gemma_1.1_2b_en", "2b", "codegemma-1.1-2b", False, f"Version 1.1. {complete}"),
        ("code_gemma_7b_en", "7b", "codegemma-7b", False, f"{complete} Also trained on plain text."),
        ("code_gemma_instruct_7b_en", "7b", "codegemma-7b-it", True, "Answers questions about code."),
        ("code_gemma_1.1_instruct_7b_en", "7b", "codegemma-1.1-7b-it", True,
         "Version 1.1. Answers questions about code."),
    )  # fmt: skip
    for name, size, origin, tuned, text in kinds:
        yield Row(name, f"gemma_{size}", "CodeGemma", "GemmaBackbone", GEMMA, 8192,
                  f"google/{origin}", text, tuned)  # fmt: skip


def _gemma2() -> Iterator[Row]:
    cells = "Gemma 2 tuned on single-cell biology: reads cells as lists of gene names."
    shield = "Judges whether a text breaks a safety policy written in the prompt."
    for size in ("2b", "9b", "27b"):
        kinds = [
            (f"gemma2_{size}_en", "Gemma 2", f"google/gemma-2-{size}", False,
             "Base model of the second Gemma generation."),
            (f"gemma2_instruct_{size}_en", "Gemma 2", f"google/gemma-2-{size}-it", True,
             "Second Gemma generation, tuned to follow instructions."),
            (f"shieldgemma_{size}_en", "ShieldGemma", f"google/shieldgemma-{size}", True, shield),
        ]  # fmt: skip
        for name, family, origin, tuned, text in kinds:
            yield Row(
                name, f"gemma2_{size}", family, "GemmaBackbone", GEMMA, 8192, origin, text, tuned
            )
        if size != "9b":
            yield Row(f"c2s_scale_gemma_2_{size}_en", f"gemma2_{size}", "C2S-Scale", "GemmaBackbone",
                      ("CC-BY-4.0", False), 8192, f"vandijklab/C2S-Scale-Gemma-2-{size.upper()}",
                      cells)  # fmt: skip


def _gemma3() -> Iterator[Row]:
    for size in ("270m", "1b", "4b", "12b", "27b"):
        context = 32768 if size in ("270m", "1b") else 131072
        sight = (False,) if size in ("270m", "1b") else (False, True)
        for tuned in (False, True):
            for sees in sight:
                yield _gemma3_row(size, context, tuned, sees, only_text=len(sight) == 1)


def _gemma3_row(size: str, context: int, tuned: bool, sees: bool, only_text: bool) -> Row:
    base = "google/gemma-3-270m" if size == "270m" else f"google/gemma-3-{size}-pt"
    origin = f"google/gemma-3-{size}-it" if tuned else base
    name = f"gemma3_{'instruct_' if tuned else ''}{size}{'' if sees or only_text else '_text'}"
    what = "reads images and text" if sees else "text only"
    if not sees and not only_text:
        what += ", cut from the model that also reads images"
    kind = "Instruction-tuned" if tuned else "Base"
    return Row(name, f"gemma3_{size}", "Gemma 3", "Gemma3Backbone", GEMMA, context,
               origin if sees or only_text else None, f"{kind} Gemma 3 model: {what}.", tuned,
               "image+text" if sees else "text")  # fmt: skip


def _gpt2() -> Iterator[Row]:
    origins = {
        "base": "gpt2",
        "medium": "gpt2-medium",
        "large": "gpt2-large",
        "extra_large": "gpt2-xl",
    }
    for size, origin in origins.items():
        yield Row(f"gpt2_{size}_en", f"gpt2_{size}", "GPT-2", "GPT2Backbone", MIT, 1024,
                  f"openai-community/{origin}", "Base model trained on pages linked from Reddit (WebText).",
                  stored="float32")  # fmt: skip
        if size == "base":
            yield Row("gpt2_base_en_cnn_dailymail", "gpt2_base", "GPT-2", "GPT2Backbone", MIT, 1024,
                      None, "GPT-2 tuned to summarise news articles (CNN and Daily Mail).",
                      stored="float32")  # fmt: skip


def _llama2() -> Iterator[Row]:
    kinds = (
        ("llama2_7b_en", "Llama 2", "meta-llama/Llama-2-7b-hf", False, "Base model."),
        ("llama2_instruct_7b_en", "Llama 2", "meta-llama/Llama-2-7b-chat-hf", True, "Tuned for chat."),
        ("vicuna_1.5_7b_en", "Vicuna", "lmsys/vicuna-7b-v1.5", True,
         "Llama 2 tuned for chat on conversations that users shared."),
    )  # fmt: skip
    for name, family, origin, tuned, text in kinds:
        terms = LLAMA2 if family == "Llama 2" else ("Llama 2", False)
        yield Row(name, "llama2_7b", family, "LlamaBackbone", terms, 4096, origin, text, tuned)
        if family == "Llama 2":
            yield Row(f"{name}_int8", "llama2_7b", family, "LlamaBackbone", terms, 4096, None,
                      f"{text} Weights stored as 8-bit integers.", tuned, stored="int8")  # fmt: skip


def _llama3() -> Iterator[Row]:
    guard = "Says whether a prompt or an answer is safe, and which rule it breaks."
    base, chat = "Base model.", "Tuned to follow instructions."
    kinds = (
        ("llama3.2_1b", "3.2_1b", "3.2", "Llama-3.2-1B", False, base),
        ("llama3.2_instruct_1b", "3.2_1b", "3.2", "Llama-3.2-1B-Instruct", True, chat),
        ("llama3.2_guard_1b", "3.2_1b", "3.2", "Llama-Guard-3-1B", True, guard),
        ("llama3.2_3b", "3.2_3b", "3.2", "Llama-3.2-3B", False, base),
        ("llama3.2_instruct_3b", "3.2_3b", "3.2", "Llama-3.2-3B-Instruct", True, chat),
        ("llama3_8b_en", "3_8b", "3", "Meta-Llama-3-8B", False, base),
        ("llama3_8b_en_int8", "3_8b", "3", None, False, f"{base} Weights stored as 8-bit integers."),
        ("llama3_instruct_8b_en", "3_8b", "3", "Meta-Llama-3-8B-Instruct", True, chat),
        ("llama3_instruct_8b_en_int8", "3_8b", "3", None, True,
         f"{chat} Weights stored as 8-bit integers."),
        ("llama3.1_8b", "3_8b", "3.1", "Llama-3.1-8B", False, base),
        ("llama3.1_instruct_8b", "3_8b", "3.1", "Llama-3.1-8B-Instruct", True, chat),
        ("llama3.1_guard_8b", "3_8b", "3.1", "Llama-Guard-3-8B", True, guard),
    )  # fmt: skip
    for name, shape, version, origin, tuned, text in kinds:
        terms = (f"Llama {version} Community", True)
        yield Row(name, f"llama{shape}", f"Llama {version}", "Llama3Backbone", terms,
                  8192 if version == "3" else 131072, origin and f"meta-llama/{origin}", text, tuned,
                  stored="int8" if origin is None else "bfloat16")  # fmt: skip


def _mistral() -> Iterator[Row]:
    kinds = (
        ("mistral_7b_en", "0.1", "Mistral-7B-v0.1", False, "Base model."),
        ("mistral_instruct_7b_en", "0.1", "Mistral-7B-Instruct-v0.1", True, "Tuned to follow instructions."),
        ("mistral_0.2_instruct_7b_en", "0.2", "Mistral-7B-Instruct-v0.2", True,
         "Version 0.2, tuned to follow instructions; attends to the whole context."),
        ("mistral_0.3_7b_en", "0.3", "Mistral-7B-v0.3", False, "Version 0.3, base, larger vocabulary."),
        ("mistral_0.3_instruct_7b_en", "0.3", "Mistral-7B-Instruct-v0.3", True,
         "Version 0.3, tuned to follow instructions and to call functions."),
    )  # fmt: skip
    for name, shape, origin, tuned, text in kinds:
        yield Row(name, f"mistral_{shape}", "Mistral", "MistralBackbone", APACHE, 32768,
                  f"mistralai/{origin}", text, tuned)  # fmt: skip


def _mixtral() -> Iterator[Row]:
    for name, origin, tuned, text in (
        ("mixtral_8_7b_en", "Mixtral-8x7B-v0.1", False, "Base model"),
        ("mixtral_8_instruct_7b_en", "Mixtral-8x7B-Instruct-v0.1", True, "Instruction-tuned model"),
    ):
        yield Row(name, "mixtral", "Mixtral", "MixtralBackbone", APACHE, 32768,
                  f"mistralai/{origin}", f"{text} with 8 experts a layer, 2 of them active.", tuned)  # fmt: skip


def _moonshine() -> Iterator[Row]:
    for size in ("tiny", "base"):
        yield Row(f"moonshine_{size}_en", f"moonshine_{size}", "Moonshine", "MoonshineBackbone", MIT,
                  194, f"UsefulSensors/moonshine-{size}", "Writes down English speech as it is spoken.",
                  modality="speech", stored="float32")  # fmt: skip


def _opt() -> Iterator[Row]:
    for size in ("125m", "1.3b", "2.7b", "6.7b"):
        yield Row(f"opt_{size}_en", f"opt_{size}", "OPT", "OPTBackbone", OPT, 2048,
                  f"facebook/opt-{size}", "Meta's open model after GPT-3: base, English.",
                  stored="float16" if size == "6.7b" else "float32")  # fmt: skip


def _sight(kind: str, size: int) -> str:
    trained = {"mix": "tuned on a mixture of tasks", "pt": "pretrained, to be tuned on a task",
               "docci": "tuned to describe images in detail (DOCCI)"}[kind]  # fmt: skip
    return f"Reads an image of {size} by {size} pixels and a prompt; {trained}."


def _pali_gemma() -> Iterator[Row]:
    for kind, size in (("mix", 224), ("pt", 224), ("mix", 448), ("pt", 448), ("pt", 896)):
        name = f"pali_gemma_3b_{'mix_' if kind == 'mix' else ''}{size}"
        yield Row(name, "pali_gemma_2b", "PaliGemma", "PaliGemmaBackbone", GEMMA, 8192,
                  f"google/paligemma-3b-{kind}-{size}", _sight(kind, size), modality="image+text",
                  image_prefix=(size // 14) ** 2)  # fmt: skip


def _pali_gemma2() -> Iterator[Row]:
    texts = {"3b": "2b", "10b": "9b", "28b": "27b"}
    for size, text in texts.items():
        for kind, pixels in (
            ("mix", 224),
            ("pt", 224),
            ("docci", 448),
            ("mix", 448),
            ("pt", 448),
            ("pt", 896),
        ):
            if (kind, size) == ("docci", "28b"):
                continue
            name = f"pali_gemma2_{kind}_{size}_{pixels}"
            if kind == "docci":  # the names of the two differ in one underscore
                name = f"pali_gemma{'_2' if size == '3b' else '2'}_ft_docci_{size}_448"
            origin = f"google/paligemma2-{size}-{'ft-docci' if kind == 'docci' else kind}-{pixels}"
            yield Row(name, f"pali_gemma2_{text}", "PaliGemma 2", "PaliGemmaBackbone", GEMMA, 8192,
                      origin, _sight(kind, pixels), modality="image+text",
                      image_prefix=(pixels // 14) ** 2)  # fmt: skip


def _parseq() -> Iterator[Row]:
    yield Row("parseq", "parseq", "PARSeq", "PARSeqBackbone", APACHE, 25, None,
              "Reads the text on a cropped photograph of a sign or label.", modality="image",
              stored="float32")  # fmt: skip


def _phi3() -> Iterator[Row]:
    for size, context in (("4k", 4096), ("128k", 131072)):
        text = (
            f"Small instruction-tuned model with strong reasoning, {context:,} tokens of context."
        )
        yield Row(f"phi3_mini_{size}_instruct_en", f"phi3_{size}", "Phi-3", "Phi3Backbone", MIT,
                  context, f"microsoft/Phi-3-mini-{size}-instruct", text, True)  # fmt: skip


def _qwen25() -> Iterator[Row]:
    research, qwen = ("Qwen Research (non-commercial)", False), ("Qwen", False)
    kinds = (
        ("0.5b", False, APACHE, 32768), ("0.5b", True, APACHE, 32768), ("3b", False, research, 32768),
        ("7b", False, APACHE, 131072), ("32b", True, APACHE, 32768), ("72b", True, qwen, 32768),
    )  # fmt: skip
    for size, tuned, terms, context in kinds:
        name = f"qwen2.5_{'instruct_' if tuned else ''}{size}_en"
        origin = f"Qwen/Qwen2.5-{size.upper()}{'-Instruct' if tuned else ''}"
        text = (
            "Multilingual model tuned to follow instructions."
            if tuned
            else "Multilingual base model."
        )
        yield Row(
            name, f"qwen2.5_{size}", "Qwen2.5", "QwenBackbone", terms, context, origin, text, tuned
        )


def _qwen3() -> Iterator[Row]:
    text = "Multilingual model tuned for chat, which can reason before it answers."
    for size in ("0.6b", "1.7b", "4b", "8b", "14b", "32b"):
        yield Row(f"qwen3_{size}_en", f"qwen3_{size}", "Qwen3", "Qwen3Backbone", APACHE, 40960,
                  f"Qwen/Qwen3-{size.upper()}", text, True)  # fmt: skip


def _qwen_moe() -> Iterator[Row]:
    for size, active in (("30b", "3b"), ("235b", "22b")):
        text = f"Reasoning chat model with 128 experts a layer, 8 of them active ({active.upper()} parameters)."
        yield Row(f"qwen3_moe_{size}_a{active}_en", f"qwen3_moe_{size}", "Qwen3-MoE", "Qwen3MoeBackbone",
                  APACHE, 40960, f"Qwen/Qwen3-{size.upper()}-A{active.upper()}", text, True)  # fmt: skip
    yield Row("qwen1.5_moe_2.7b_en", "qwen1.5_moe", "Qwen1.5-MoE", "QwenMoeBackbone",
              ("Tongyi Qianwen", False), 8192, "Qwen/Qwen1.5-MoE-A2.7B",
              "Base model with 60 small experts a layer, 4 of them active, and a shared one.")  # fmt: skip


def _smollm3() -> Iterator[Row]:
    yield Row("smollm3_3b_en", "smollm3_3b", "SmolLM3", "SmolLM3Backbone", APACHE, 65536,
              "HuggingFaceTB/SmolLM3-3B",
              "Chat model for six languages, which can reason before it answers.", True)  # fmt: skip


def _t5gemma() -> Iterator[Row]:
    goals = {"ul2": "fill gaps of several kinds (UL2)", "prefixlm": "continue a prefix"}
    for size in ("s_s", "b_b", "l_l", "ml_ml", "xl_xl", "2b_2b", "9b_2b", "9b_9b"):
        first, second = size.split("_")
        shape = f"t5gemma_{first}" if first == second else f"t5gemma_{size}"
        for goal, words in goals.items():
            for tuned in (False, True):
                end = "then tuned to follow instructions" if tuned else "base"
                name = f"t5gemma_{size}_{goal}{'_it' if tuned else ''}"
                origin = f"google/{name.replace('_', '-')}"
                yield Row(name, shape, "T5Gemma", "T5GemmaBackbone", GEMMA, 8192, origin,
                          f"Encoder-decoder of Gemma 2 layers, trained to {words}, {end}.", tuned)  # fmt: skip
