import copy
from functools import cache

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint, load_for_recognition
from model.config import ModelError
from model.device import Precision
from model.files.hub import demo_folder
from model.layers.int8 import Int8Linear, input_level, int8_obstacle
from model.quantization import is_worth_int8, prepare
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest
from tests.digits import SPEAKERS, needs_recordings, say
from tests.model.small_whisper import small_checkpoint

needs_int8 = pytest.mark.skipif(bool(int8_obstacle()), reason=int8_obstacle() or "none")
POSITIONS = 40
HEADS = ((0, 1), (1, 0), (1, 1))


def network(precision: Precision | None = None):
    made = copy.deepcopy(small_checkpoint().model)
    if precision is not None:
        prepare(made, precision)
    return made


@torch.inference_mode()
def heard(made, rows: int = 2, tokens: int = 9):
    """Logits, encoder output and attention of teacher-forced tokens."""
    torch.manual_seed(3)
    audio = made.model.encoder.encode(torch.randn(rows, 80, 2 * POSITIONS))
    text = torch.randint(0, made.config.vocab_size, (rows, tokens))
    cache = made.model.decoder.new_cache(audio, None, 16)
    positions = torch.arange(tokens).expand(rows, -1)
    hidden, attention = made.model.decoder.extend(text, positions, cache, HEADS)
    return made.logits(hidden), audio, attention


def test_fused_projections_change_nothing():
    for one, other in zip(heard(network()), heard(network(Precision.FLOAT32)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_fused_projections_take_the_place_of_their_parts():
    made = network(Precision.FLOAT32)
    names = set(made.state_dict())
    assert "model.decoder.layers.0.self_attn.qkv_proj.weight" in names
    assert "model.decoder.layers.0.encoder_attn.kv_proj.bias" in names
    assert not any("self_attn.q_proj" in name or "encoder_attn.k_proj" in name for name in names)


@needs_int8
def test_int8_is_close_to_float32():
    exact, audio, attention = heard(network())
    found, heard_audio, seen = heard(network(Precision.INT8))
    # Without VNNI inputs have half as many levels and twice the error; weights do not: 1.58 is sqrt((4 + 1) / 2).
    coarser = 1.0 if input_level() == 127 else 1.58
    assert (heard_audio - audio).norm() <= 0.03 * coarser * audio.norm()
    assert (found - exact).norm() <= 0.05 * coarser * exact.norm()
    assert ((seen - attention).abs().sum(-1) / 2).mean() <= 0.05  # of one, that each query spreads


@needs_int8
def test_no_linear_layer_stays_a_float():
    made = network(Precision.INT8)
    left = [name for name, module in made.model.named_modules() if isinstance(module, torch.nn.Linear)]
    assert left == []
    assert sum(isinstance(module, Int8Linear) for module in made.modules()) == 1 + 2 * 4 + 2 * 7


@needs_int8
def test_steps_and_drafts_see_the_same_in_int8():
    made = network(Precision.INT8)
    decoder = made.model.decoder
    with torch.inference_mode():
        torch.manual_seed(0)
        audio = made.model.encoder.encode(torch.randn(1, 80, 2 * POSITIONS))
        text = torch.randint(0, made.config.vocab_size, (1, 12))
        together, _ = decoder.extend(text, torch.arange(12)[None], decoder.new_cache(audio, None, 16))
        cache = decoder.new_cache(audio, None, 16)
        steps = [decoder.extend(text[:, i : i + 1], torch.tensor([[i]]), cache)[0] for i in range(12)]
    torch.testing.assert_close(torch.cat(steps, 1), together, rtol=0, atol=0.05)


@needs_int8
def test_the_reference_way_of_decoding_works_in_int8():
    made = network(Precision.INT8)
    exact = network()
    torch.manual_seed(5)
    features = torch.randn(1, 80, 3000)
    tokens = torch.randint(0, made.config.vocab_size, (1, 7))
    with torch.inference_mode():
        found = made(features, decoder_input_ids=tokens, output_attentions=True)
        wanted = exact(features, decoder_input_ids=tokens, output_attentions=True)
    assert (found.logits - wanted.logits).norm() <= 0.05 * wanted.logits.norm()
    assert found.cross_attentions[0].dtype == torch.float32


def test_a_small_network_is_not_worth_int8():
    assert not is_worth_int8(network())
    assert not is_worth_int8(load_checkpoint("demo", offline=True).model)


def test_the_card_says_what_is_computed_in():
    for asked, said in (("float32", "float32"), ("auto", "float32"), ("bfloat16", "bfloat16")):
        checkpoint = load_for_recognition("demo", "cpu", asked, 1, offline=True)
        assert checkpoint.card("full").precision == said


@needs_int8
def test_the_card_says_int8():
    checkpoint = load_for_recognition("demo", "cpu", "int8", 1, offline=True)
    assert checkpoint.card("full").precision == "int8"
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def test_an_unknown_precision_is_named_before_anything_is_loaded():
    with pytest.raises(ModelError, match="int4"):
        load_for_recognition("no such model", "cpu", "int4", 1, offline=True)


@cache
def answers(precision: str):
    recognizer = WhisperRecognizer.load("demo", "cpu", precision, 1, offline=True)
    spoken = [say(SPEAKERS[seed % 4], 3 + seed % 6, seed) for seed in range(12)]
    asked = [DecodeRequest(f"{i}", 0, one.audio, language="en", final=True) for i, one in enumerate(spoken)]
    return [[(word.text, word.start, word.end) for word in answer.words] for answer in recognizer.transcribe(asked)]


@needs_int8
@needs_recordings
@pytest.mark.skipif(not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights")
def test_the_demo_model_hears_the_same_words_in_int8():
    exact, found = answers("float32"), answers("int8")
    assert [[word[0] for word in one] for one in found] == [[word[0] for word in one] for one in exact]
    moved = [abs(a[1] - b[1]) for one, other in zip(exact, found, strict=True) for a, b in zip(one, other, strict=True)]
    assert np.quantile(moved, 0.9) <= 0.02 * SAMPLE_RATE
