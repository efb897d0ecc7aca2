"""How `tests/data/tokenizers` was made: `python tests/tokenizers/make_data.py GOLDENS`.

GOLDENS is a folder of presets saved by KerasHub (gpt2, llama3, llama, gemma, gemma2), each with
a `golden.json` whose `tokenizer.ids` are the ids KerasHub gave. The small models are trained here:
`spaced.spm` the way Llama 2's is (a space in front, byte fallback, text as it is) and `plain.spm`
the way Gemma's is (no space in front, turn markers as symbols); the `.json` next to each is
the same model as a Transformers `tokenizer.json`.
"""

import io
import json
import shutil
import sys
from pathlib import Path

import sentencepiece

DATA = Path(__file__).parents[1] / "data" / "tokenizers"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
TEXT = """The quick brown fox jumps over the lazy dog. The dog sleeps, and the fox runs away again.
def area(width, height):
    return width * height    # the number 3.14159 is not needed here
She said: "It's nine o'clock; we'll be there in 15 minutes, don't you think?"
Über den Wolken ist die Freiheit grenzenlos. Le garçon a mangé une crème brûlée à l'hôtel.
Once upon a time there was a little girl who lived in the forest with her mother and her cat.
for index in range(10):
    print(index, end="  ")
"""


def train(name: str, **options: object) -> None:
    """A byte-pair model with byte fallback that leaves the text as it is."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines() * 3),
        model_writer=model,
        model_type="bpe",
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
        **options,
    )
    (DATA / f"{name}.spm").write_bytes(model.getvalue())


def transformers_json(name: str, spaced: bool) -> dict:
    """The model as a `tokenizer.json`: a merge for every way to build a piece of two others."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(DATA / f"{name}.spm"))
    pieces = [model.id_to_piece(token_id) for token_id in range(model.vocab_size())]
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    merges = []
    for piece in pieces:
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    special = [i for i in range(len(pieces)) if model.is_control(i) or model.is_unknown(i)]
    symbols = [i for i, piece in enumerate(pieces) if piece.endswith("_of_turn>")]
    to_space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    before = [{"type": "Prepend", "prepend": SPACE}] if spaced else []
    after = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if spaced else []
    from_space = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    start = pieces[model.bos_id()]
    return {
        "version": "1.0",
        "truncation": {
            "max_length": 8,
            "stride": 0,
            "strategy": "LongestFirst",
            "direction": "Right",
        },
        "padding": None,
        "added_tokens": [added_token(i, pieces[i], i in special) for i in [*special, *symbols]],
        "normalizer": {"type": "Sequence", "normalizers": [*before, to_space]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": start, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {start: {"id": start, "ids": [model.bos_id()], "tokens": [start]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [from_space, {"type": "ByteFallback"}, {"type": "Fuse"}, *after],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def added_token(token_id: int, content: str, special: bool) -> dict:
    """An entry of `added_tokens`."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, **flags, "special": special}


def copy_goldens(goldens: Path) -> None:
    """Vocabularies of KerasHub presets and the ids KerasHub gave for them."""
    ids = {}
    for name in ("gpt2", "llama3", "llama", "gemma", "gemma2"):
        ids[name] = json.loads((goldens / name / "golden.json").read_text())["tokenizer"]["ids"]
    assets = {name: goldens / name / "assets" / "tokenizer" for name in ids}
    for name in ("gpt2", "llama3"):
        shutil.copytree(assets[name], DATA / f"keras_hub_{name}", dirs_exist_ok=True)
    for name in ("llama", "gemma"):  # Gemma 2's file is Gemma's
        shutil.copyfile(assets[name] / "vocabulary.spm", DATA / f"keras_hub_{name}.spm")
    write(DATA / "keras_hub_ids.json", ids)


def write(path: Path, value: object) -> None:
    """One line of JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    copy_goldens(Path(sys.argv[1]))
    train("spaced", vocab_size=400, add_dummy_prefix=True)
    train(
        "plain",
        vocab_size=400,
        add_dummy_prefix=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>"],
    )
    write(DATA / "spaced.json", transformers_json("spaced", spaced=True))
    write(DATA / "plain.json", transformers_json("plain", spaced=False))
