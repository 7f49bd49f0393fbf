"""The network against the reference's, on random weights in the shapes of the released models."""

import pytest
import torch

from model.checkpoint import load_checkpoint
from model.layers.cache import DecoderCache
from tests.model.checkpoints import TINY_VOCABULARY, random_whisper, save

TINY = {"d_model": 384, "encoder_layers": 4, "decoder_layers": 4,
        "encoder_attention_heads": 6, "decoder_attention_heads": 6, "max_target_positions": 448}  # fmt: skip
BASE = {"d_model": 512, "encoder_layers": 6, "decoder_layers": 6,
        "encoder_attention_heads": 8, "decoder_attention_heads": 8, "max_target_positions": 448}  # fmt: skip
LARGE_V3 = {"d_model": 1280, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 128, "vocab_size": 51866,
            "encoder_attention_heads": 20, "decoder_attention_heads": 20, "max_target_positions": 448}  # fmt: skip


def features_for(config, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, config.num_mel_bins, 2 * config.max_source_positions, generator=generator)


def tokens_for(config, batch, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (batch, count), generator=generator)


@pytest.fixture(scope="module")
def small(small_folder):
    return load_checkpoint(str(small_folder)).model


@pytest.mark.parametrize(
    ("shape", "positions"), [(TINY, 1500), (BASE, 300), (LARGE_V3, 300)], ids=["tiny", "base", "large-v3"]
)
def test_encoder_and_logits_equal_the_reference(shape, positions, tmp_path):
    reference = random_whisper(**shape, max_source_positions=positions)
    ours = load_checkpoint(str(save(reference, tmp_path))).model
    features, tokens = features_for(reference.config), tokens_for(reference.config, 1, 24)
    with torch.inference_mode():
        expected = reference(input_features=features, decoder_input_ids=tokens)
        audio = ours.model.encoder.encode(features)
        logits = ours(features, decoder_input_ids=tokens).logits

    assert logits.argmax(-1).unique().numel() >= 8, "weights too tame to prove anything"
    torch.testing.assert_close(audio, expected.encoder_last_hidden_state, rtol=0, atol=1e-4)
    torch.testing.assert_close(logits, expected.logits, rtol=0, atol=1e-4)


def test_fewer_frames_use_the_first_positions(small):
    shorter = random_whisper(max_source_positions=20)
    features = features_for(shorter.config)
    with torch.no_grad():
        for name, weight in shorter.named_parameters():
            source = dict(small.named_parameters()).get(name)
            if source is not None and source.shape == weight.shape:
                weight.copy_(source)
        expected = shorter.model.encoder(features).last_hidden_state
        audio = small.model.encoder.encode(features)

    torch.testing.assert_close(audio, expected, rtol=0, atol=1e-5)


def test_more_frames_than_positions_are_refused(small):
    with pytest.raises(ValueError, match="at most 100 log-mel frames fit the encoder, got 102"):
        small.model.encoder.encode(torch.zeros(1, 80, 102))


@torch.inference_mode()
def test_decoding_step_by_step_equals_teacher_forcing(small):
    features, tokens = features_for(small.config, 2), tokens_for(small.config, 2, 20)
    expected = small(features, decoder_input_ids=tokens).logits
    cache = small.model.decoder.new_cache(small.model.encoder.encode(features))
    logits = []
    for first, end in [(0, 7), (7, 8), (8, 9), (9, 16), (16, 20)]:
        positions = torch.arange(first, end).expand(2, -1)
        hidden, _ = small.model.decoder.extend(tokens[:, first:end], positions, cache)
        logits.append(small.logits(hidden))

    torch.testing.assert_close(torch.cat(logits, 1), expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_rejected_draft_is_overwritten(small):
    features, tokens = features_for(small.config), tokens_for(small.config, 1, 12)
    expected = small(features, decoder_input_ids=tokens).logits
    cache = small.model.decoder.new_cache(small.model.encoder.encode(features))
    draft = torch.cat([tokens[:, :5], tokens_for(small.config, 1, 7, seed=9)], 1)
    small.model.decoder.extend(draft, torch.arange(12)[None], cache)
    hidden, _ = small.model.decoder.extend(tokens[:, 5:], torch.arange(5, 12)[None], cache)

    torch.testing.assert_close(small.logits(hidden), expected[:, 5:], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_ragged_rows_with_garbage_padding_equal_single_rows(small):
    lengths, audio_lengths = [9, 3, 14], torch.tensor([50, 17, 30])
    features, tokens = features_for(small.config, 3), tokens_for(small.config, 3, 14)
    audio = small.model.encoder.encode(features)
    singles = []
    for row, (length, heard) in enumerate(zip(lengths, audio_lengths, strict=True)):
        cache = small.model.decoder.new_cache(audio[row : row + 1, :heard])
        hidden, _ = small.model.decoder.extend(tokens[row : row + 1, :length], torch.arange(length)[None], cache)
        last, _ = small.model.decoder.extend(torch.tensor([[5]]), torch.tensor([[length]]), cache)
        singles.append(torch.cat([hidden, last], 1)[0])

    # What is beyond a row's audio and beyond its tokens must not matter, whatever it is.
    for row, heard in enumerate(audio_lengths):
        audio[row, heard:] = 100.0
    cache = small.model.decoder.new_cache(audio, audio_lengths)
    hidden, _ = small.model.decoder.extend(tokens, torch.arange(14).expand(3, -1), cache)
    step, _ = small.model.decoder.extend(torch.full((3, 1), 5), torch.tensor(lengths)[:, None], cache)

    for row, length in enumerate(lengths):
        torch.testing.assert_close(hidden[row, :length], singles[row][:length], rtol=0, atol=1e-5)
        torch.testing.assert_close(step[row], singles[row][length:], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_rows_that_leave_the_batch_do_not_disturb_the_others(small):
    features, tokens = features_for(small.config, 3), tokens_for(small.config, 3, 6)
    expected = small(features, decoder_input_ids=tokens).logits
    cache = small.model.decoder.new_cache(small.model.encoder.encode(features))
    small.model.decoder.extend(tokens[:, :5], torch.arange(5).expand(3, -1), cache)
    rows = torch.tensor([2, 0])
    kept: DecoderCache = cache.select(rows)
    hidden, _ = small.model.decoder.extend(tokens[rows, 5:], torch.full((2, 1), 5), kept)

    torch.testing.assert_close(small.logits(hidden), expected[rows, 5:], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_alignment_attention_equals_the_references_cross_attention(small, small_reference):
    features, tokens = features_for(small.config, 2), tokens_for(small.config, 2, 11)
    expected = small_reference(input_features=features, decoder_input_ids=tokens, output_attentions=True)
    heads = [(1, 3), (0, 1), (1, 0)]
    cache = small.model.decoder.new_cache(small.model.encoder.encode(features))
    _, attention = small.model.decoder.extend(tokens, torch.arange(11).expand(2, -1), cache, heads)

    assert attention is not None
    for at, (layer, head) in enumerate(heads):
        torch.testing.assert_close(attention[:, at], expected.cross_attentions[layer][:, head], rtol=0, atol=1e-5)


def test_the_alignment_attention_of_padding_is_zero(small):
    features, tokens = features_for(small.config, 2), tokens_for(small.config, 2, 4)
    cache = small.model.decoder.new_cache(small.model.encoder.encode(features), torch.tensor([50, 20]))
    _, attention = small.model.decoder.extend(tokens, torch.arange(4).expand(2, -1), cache, [(0, 0)])

    assert attention is not None
    assert attention[1, :, :, 20:].abs().max() == 0
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 1, 4))


@pytest.mark.parametrize("capacity", [0, 65])
def test_a_cache_beyond_the_positions_is_refused(small, capacity):
    with pytest.raises(ValueError, match=r"capacity must be in 1..64 tokens"):
        small.model.decoder.new_cache(torch.zeros(1, 50, 32), capacity=capacity)


def test_the_vocabulary_of_the_fixtures_is_whole(small):
    assert small.config.vocab_size == TINY_VOCABULARY
