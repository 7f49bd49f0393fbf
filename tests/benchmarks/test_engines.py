import dataclasses
import struct
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks import engines_ggml, engines_report
from benchmarks.engines import with_whole_updates
from benchmarks.engines_checkpoint import TEXT, Script, Shape, end_of, write_checkpoint
from benchmarks.engines_contestants import Table
from benchmarks.engines_ours import OurEngine, ends
from benchmarks.engines_report import Cell
from benchmarks.engines_work import Work, damage, drafted
from model.checkpoint import load_checkpoint
from model.decoding.parts import AFTER, HALO
from model.files.hub import demo_folder
from model.types import SAMPLE_RATE
from model.vocabulary import Vocabulary

SHAPE = Shape(192, 2, 3, ((1, 0), (1, 1)))
pytestmark = pytest.mark.skipif(
    not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights"
)


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.from_pretrained(demo_folder())


@pytest.fixture(scope="module")
def scripted(tmp_path_factory, vocabulary):
    folder = tmp_path_factory.mktemp("scripted")
    script = Script.of(vocabulary, 25)
    return folder, script, write_checkpoint(SHAPE, script, folder)


@pytest.fixture(scope="module")
def engine(scripted):
    return OurEngine(scripted[0], 1, "float32", "dynamic")


def work(script, vocabulary, acceptance):
    audio = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE).astype(np.float32)
    return Work(audio, script.tokens, end_of(script, vocabulary), acceptance)


@pytest.mark.parametrize("acceptance", [0.0, 0.5, 0.6, 0.76, 0.9, 1.0])
def test_as_many_tokens_of_a_draft_are_not_right_as_said(acceptance):
    bad = damage(25, acceptance)
    assert bad.missing + len(bad.wrong) == round((1 - acceptance) * 25)
    assert bad.wrong <= set(range(25)) - set(range(24 - bad.missing, 24))
    if acceptance:
        assert not bad.wrong & {0, 24}


def test_half_of_what_is_not_right_is_missing_at_the_end_and_half_is_spread():
    bad = damage(25, 0.6)
    assert bad.missing == 5
    assert len(bad.wrong) == 5
    assert all(1 < later - earlier <= 5 for earlier, later in pairwise(sorted(bad.wrong)))


def test_a_draft_has_the_text_but_for_what_is_not_right(scripted, vocabulary):
    _, script, _ = scripted
    (segment,) = drafted(work(script, vocabulary, 0.76))
    said = [token for word in segment.words for token in word.tokens]
    text = script.tokens[1:-1]
    assert len(said) == len(text) - 3
    assert sum(one != other for one, other in zip(said, text, strict=False)) == 3
    assert drafted(work(script, vocabulary, None)) == ()


def test_a_script_has_as_many_tokens_as_asked(vocabulary):
    script = Script.of(vocabulary, 30)
    assert len(script.tokens) == 30
    assert TEXT.startswith(script.text)
    with pytest.raises(ValueError, match="tokens must be in 3"):
        Script.of(vocabulary, 1000)


@pytest.mark.parametrize("acceptance", [None, 0.0, 0.6, 1.0])
def test_a_scripted_network_says_its_script_whatever_the_draft(engine, scripted, vocabulary, acceptance):
    script = scripted[1]
    assert engine(work(script, vocabulary, acceptance)) == script.text
    assert engine.passes <= (3 if acceptance == 1.0 else 27)


def test_blocks_of_8_bits_keep_the_numbers():
    torch.manual_seed(0)
    values = torch.randn(4, 64).numpy()
    packed = np.frombuffer(
        engines_ggml._blocks(values), dtype=[("scale", "<f2"), ("values", np.int8, engines_ggml.BLOCK)]
    )
    found = (packed["scale"].astype(np.float32)[:, None] * packed["values"]).reshape(values.shape)
    assert np.abs(found - values).max() <= np.abs(values).max() / 127


def test_a_ggml_file_names_every_tensor_by_the_names_of_whisper_cpp(scripted, tmp_path):
    folder, _, network = scripted
    path = tmp_path / "ggml.bin"
    engines_ggml.write_ggml(network, folder / "tokenizer.json", path)
    data = path.read_bytes()
    magic, vocabulary_size = struct.unpack("<Ii", data[:8])
    assert (magic, vocabulary_size) == (engines_ggml.MAGIC, network.config.vocab_size)
    for name in (
        b"encoder.blocks.1.attn.query.weight", b"decoder.blocks.0.cross_attn.out.bias", b"encoder.positional_embedding",
        b"decoder.blocks.1.mlp.2.weight", b"encoder.ln_post.bias", b"decoder.ln.weight",
        b"decoder.token_embedding.weight",
    ):  # fmt: skip
        assert name in data


def test_costs_are_shares_of_each_tables_reference():
    cells = [
        Cell("base", 10, Table.SAME, "streamer int8", "dynamic", 0.9, seconds=0.1, passes=3, accepted=0.88),
        Cell("base", 10, Table.SAME, "CTranslate2 int8", "dynamic", None, seconds=0.2),
        Cell("base", 10, Table.USERS, "faster-whisper int8", "full", None, seconds=0.8),
        Cell("base", 10, Table.SAME, "whisper.cpp q8_0", "dynamic", None, "ImportError: no module"),
    ]
    text = engines_report.report(cells, "command", "machine")
    assert "| streamer int8 | the window | 0.9 | 3 | 0.12 |" in text
    assert "| streamer int8 | the window | 0.9 | 3 | 0.50 |" in text
    assert "not measured: ImportError: no module" in text
    assert "| base | 10 s | streamer int8 | the window | 0.9 | 0.12 (1/8.0) | 0.50 (1/2.0) | not measured |" in text


def test_with_reuse_one_update_in_sixteen_costs_as_much_as_without():
    def cell(name: str, context: str, seconds: float, *, reuse: bool = False) -> Cell:
        return Cell("base", 10, Table.USERS, name, context, 0.9, seconds=seconds, reuse=reuse)

    whole = [cell("streamer int8", "dynamic", 0.5), cell("streamer int8", "full", 1.6)]
    parts = [cell("streamer int8, reuse", "full", 0.1, reuse=True)]
    told = [with_whole_updates(one, [*whole, *parts]) for one in (*whole, *parts)]
    assert told[:2] == whole
    assert told[2].seconds == pytest.approx((15 * 0.1 + 1.6) / 16)
    table = engines_report.report([*told, cell("faster-whisper int8", "full", 1.0)], "command", "machine")
    assert "| base | 10 s | streamer int8, reuse | 30 s | 0.9 | 0.19 (1/5.2) |" in table


def test_an_engine_with_reuse_has_heard_the_window_every_half_second(scripted, vocabulary):
    folder, script, _ = scripted
    engine, asked = OurEngine(folder, 1, "float32", "dynamic", reuse=True), work(scripted[1], vocabulary, 0.9)
    assert ends(asked.audio) == tuple(range(8000, 80_000, 8000))
    seen = []
    transcribe = engine._recognizer.transcribe
    engine._recognizer.transcribe = lambda batch: seen.append(transcribe(batch)[0].statistics) or transcribe(batch)
    engine.hear_before(asked)
    assert engine(asked) == script.text
    assert seen[1].computed_positions < seen[1].encoder_positions
    assert seen[1].computed_positions == HALO + 25 + AFTER


def test_without_a_reference_no_share_is_made_up():
    cells = [Cell("base", 10, Table.SAME, "streamer int8", "dynamic", 0.9, seconds=0.1)]
    assert "no reference" in engines_report.report(cells, "command", "machine")


def test_heads_of_the_shape_are_those_of_the_checkpoint(scripted):
    folder, _, _ = scripted
    assert load_checkpoint(str(folder), offline=True).generation.alignment_heads == SHAPE.alignment_heads
    assert dataclasses.asdict(SHAPE)["layers"] == 2
