"""Write `tokenizer.json` and `tokenizer_config.json` from Whisper's own vocabulary.

`python -m model.demo.tokenizer_files multilingual.tiktoken`; the file is `whisper/assets/multilingual.tiktoken` of the
openai-whisper package (MIT). A tiktoken file lists byte strings by rank; the merges that the `tokenizers` library
wants are found by splitting each string with the ranks below its own.
"""

from __future__ import annotations

import argparse
import base64
import json
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing

from model.demo import vocabulary as v
from model.demo.export import HERE, write_json
from model.text.languages import LANGUAGES


def read_ranks(path: Path) -> dict[bytes, int]:
    """Read a tiktoken file: one base64 string and its rank a line."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines() if line)
    return {base64.b64decode(text): int(rank) for text, rank in lines}


def byte_letters() -> dict[int, str]:
    """Return the printable letter that stands for each byte. Source: openai/gpt-2 encoder.py, `bytes_to_unicode`."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Return the two parts whose merge makes `token`: what is left when all merges of lower rank are done."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        at = min(range(len(pairs)), key=pairs.__getitem__)
        assert pairs[at] < ranks[token], token
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def special_tokens() -> list[str]:
    """All `<|…|>` tokens but timestamps, in the order of their ids from 50257."""
    languages = list(LANGUAGES)[: len(v.LANGUAGES)]
    names = ["endoftext", "startoftranscript", *languages, "translate", "transcribe", "startoflm", "startofprev"]
    return [f"<|{name}|>" for name in [*names, "nospeech", "notimestamps"]]


def build_tokenizer(ranks: dict[bytes, int]) -> Tokenizer:
    """Return the tokenizer with the ids of openai-whisper's multilingual one."""
    letters = byte_letters()

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {written(token): rank for token, rank in ranks.items()}
    longer = sorted((token for token in ranks if len(token) > 1), key=ranks.__getitem__)
    merges = [tuple(map(written, last_merge(token, ranks))) for token in longer]
    tokenizer = Tokenizer(BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in special_tokens()])
    stamps = [f"<|{i * 0.02:.2f}|>" for i in range(v.TIMESTAMPS)]
    tokenizer.add_tokens([AddedToken(stamp, normalized=False, special=False) for stamp in stamps])
    sot, plain, eot = "<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>"
    ids = [(name, tokenizer.token_to_id(name)) for name in (sot, plain, eot)]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{sot} {plain} $A:0 {eot}", pair=f"{sot} {plain} $A:0 $B:1 {eot}", special_tokens=ids
    )
    return tokenizer


def tokenizer_config() -> dict[str, object]:
    """Return what `tokenizer_config.json` says."""
    eot = "<|endoftext|>"
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "additional_special_tokens": special_tokens(),
        "bos_token": eot,
        "clean_up_tokenization_spaces": False,
        "eos_token": eot,
        "errors": "replace",
        "model_max_length": 448,
        "pad_token": eot,
        "processor_class": "WhisperProcessor",
        "return_attention_mask": False,
        "tokenizer_class": "WhisperTokenizer",
        "unk_token": eot,
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=Path, help="multilingual.tiktoken")
    parser.add_argument("--folder", type=Path, default=HERE)
    given = parser.parse_args()
    tokenizer = build_tokenizer(read_ranks(given.vocabulary))
    content = json.loads(tokenizer.to_str())
    (given.folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    write_json(given.folder / "tokenizer_config.json", tokenizer_config())


if __name__ == "__main__":
    main()
