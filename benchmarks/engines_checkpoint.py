"""A Whisper of a released shape whose text is written beforehand, in the layouts of all engines.

The weights are random, and so is what passes through the layers; but each decoder position leans so far towards one
token of a script that every engine, in every precision, says this text and then ends. So all do the same number of
steps by their own rules, nothing is suppressed, no fallback is set off by a text that makes no sense, and equal text
shows that all have done their work.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from model.checkpoint import load_checkpoint
from model.types import SAMPLES_PER_TIMESTAMP
from model.vocabulary import Vocabulary
from model.whisper import WhisperForConditionalGeneration

TEXT = (
    " The harbour lights were slowly going out one by one while the old ferry turned around and carried its last few"
    " passengers back across the quiet bay before the winter storm came down from the northern hills that night"
)
"""Long enough for the longest script; the words are plain, so that most are one token."""
END_STEP = 248
"""Timestamp at the end of the text: 4.96 s, within the shortest window."""
EMBEDDING_NORM = 1.5
"""Length of a token's vector: the script's logit is then some 15 above the logarithm of the sum over all others."""
LEANING = 40.0
"""Length of a position's vector; what the layers add is half as long, and a token's own is far shorter."""
FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "generation_config.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a released model."""

    d_model: int
    layers: int
    heads: int
    alignment_heads: tuple[tuple[int, int], ...]
    """As released: openai/whisper, _ALIGNMENT_HEADS."""


SHAPES = {
    "tiny": Shape(384, 4, 6, ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5))),
    "base": Shape(512, 6, 8, ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6))),
    "small": Shape(
        768, 12, 12, ((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5))
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """What every engine will say."""

    tokens: tuple[int, ...]
    """Timestamp, text, timestamp."""
    text: str

    @classmethod
    def of(cls, vocabulary: Vocabulary, count: int) -> Script:
        """Return a script of so many tokens, two timestamps among them. Raises ValueError for more than there are."""
        words = vocabulary.encode(TEXT)
        if not 3 <= count <= len(words) + 2:
            raise ValueError(f"tokens must be in 3..{len(words) + 2}, got {count}")
        begin = vocabulary.timestamp_begin
        text = words[: count - 2]
        return cls((begin, *text, begin + END_STEP), vocabulary.decode(text))


def write_checkpoint(shape: Shape, script: Script, folder: Path) -> WhisperForConditionalGeneration:
    """Write a folder in Hugging Face layout and return the network."""
    demo = load_checkpoint("demo", offline=True)
    config = dataclasses.replace(
        demo.config,
        d_model=shape.d_model,
        encoder_layers=shape.layers,
        decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * shape.d_model,
        decoder_ffn_dim=4 * shape.d_model,
        extra={},
    )
    torch.manual_seed(0)
    network = WhisperForConditionalGeneration(config).eval().requires_grad_(requires_grad=False)
    _lean(network, script, demo.tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    for name in FILES:
        shutil.copyfile(demo.path / name, folder / name)
    _write_heads(folder / "generation_config.json", shape)
    return network


def _lean(network: WhisperForConditionalGeneration, script: Script, vocabulary: Vocabulary) -> None:
    """Make each position lean towards what is to follow it: the script from the third position on, then the end."""
    decoder = network.model.decoder
    tokens = decoder.embed_tokens.weight
    # The end of text too, which is the padding token and starts as zeros.
    tokens.normal_(0.0, EMBEDDING_NORM / tokens.shape[1] ** 0.5)
    places = decoder.embed_positions.weight
    start = len(vocabulary.sot_sequence("en")) - 1
    following = [*script.tokens, *[vocabulary.eot] * (len(places) - start - len(script.tokens))]
    wanted = tokens[torch.tensor(following)]
    places[start:] = LEANING * wanted / wanted.norm(dim=1, keepdim=True)


def _write_heads(path: Path, shape: Shape) -> None:
    """Put the shape's alignment heads into a generation configuration."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values["alignment_heads"] = [list(pair) for pair in shape.alignment_heads]
    path.write_text(json.dumps(values), encoding="utf-8")


def end_of(script: Script, vocabulary: Vocabulary) -> int:
    """Return the sample at which the script's text ends."""
    return (script.tokens[-1] - vocabulary.timestamp_begin) * SAMPLES_PER_TIMESTAMP
