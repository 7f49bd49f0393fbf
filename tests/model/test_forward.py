"""The reference-shaped forward passes against the reference's, on random weights."""

import pytest
import torch

from model.config import WhisperConfig
from model.layers.cache import DecoderCache
from model.layers.outputs import BaseModelOutput, Seq2SeqLMOutput
from model.whisper import WhisperForConditionalGeneration
from tests.model.checkpoints import random_whisper
from tests.model.test_whisper import features_for, tokens_for

SHAPES = {
    "tiny": {"d_model": 48, "encoder_layers": 4, "decoder_layers": 4,
             "encoder_attention_heads": 6, "decoder_attention_heads": 6},
    "base": {"d_model": 64, "encoder_layers": 6, "decoder_layers": 6,
             "encoder_attention_heads": 8, "decoder_attention_heads": 8},
    "turbo": {"encoder_layers": 5, "decoder_layers": 2},
    "distil": {"encoder_layers": 4, "decoder_layers": 1, "decoder_attention_heads": 2},
    "large-v3": {"d_model": 1280, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 128,
                 "encoder_attention_heads": 20, "decoder_attention_heads": 20},
}  # fmt: skip


def pair(**shape):
    """The reference and ours with the same weights."""
    reference = random_whisper(**shape)
    ours = WhisperForConditionalGeneration(WhisperConfig.from_dict(reference.config.to_dict())).eval()
    assert ours.load_state_dict(reference.state_dict()) is not None
    return reference, ours


@pytest.fixture(scope="module")
def small():
    return pair()


def same(ours, theirs, atol=1e-4):
    assert set(ours.keys()) == set(theirs.keys())
    for name, value in theirs.items():
        if name != "past_key_values":
            torch.testing.assert_close(ours[name], value, rtol=0, atol=atol, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@torch.no_grad()
def test_logits_hidden_states_and_attentions_equal_the_reference(shape):
    theirs, ours = pair(**shape)
    features, tokens = features_for(theirs.config, 2), tokens_for(theirs.config, 2, 9)
    wanted = {"output_attentions": True, "output_hidden_states": True}
    same(
        ours(features, decoder_input_ids=tokens, **wanted),
        theirs(input_features=features, decoder_input_ids=tokens, **wanted),
    )


@torch.no_grad()
def test_step_by_step_with_a_cache_equals_one_pass(small):
    _, ours = small
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 2, 20)
    whole = ours(features, decoder_input_ids=tokens, use_cache=False)
    assert whole.past_key_values is None
    encoder_outputs = ours.get_encoder()(features)
    cache, logits = None, []
    for first, end in [(0, 7), (7, 8), (8, 9), (9, 16), (16, 20)]:
        step = ours(decoder_input_ids=tokens[:, first:end], encoder_outputs=encoder_outputs, past_key_values=cache)
        cache = step.past_key_values
        logits.append(step.logits)
        assert isinstance(cache, DecoderCache)
        assert cache.get_seq_length() == end

    torch.testing.assert_close(torch.cat(logits, 1), whole.logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_padded_on_the_left_equal_the_reference_and_the_row_alone(small):
    theirs, ours = small
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 2, 8)
    mask = torch.ones(2, 8, dtype=torch.long)
    mask[1, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    padded = {"decoder_input_ids": tokens[:, :6], "decoder_attention_mask": mask[:, :6],
              "decoder_position_ids": positions[:, :6], "output_attentions": True}  # fmt: skip
    mine, other = ours(features, **padded), theirs(features, **padded)
    same(mine, other)
    step = {
        "decoder_input_ids": tokens[:, 6:],
        "decoder_attention_mask": mask,
        "decoder_position_ids": positions[:, 6:],
    }
    audio = BaseModelOutput(mine.encoder_last_hidden_state)
    mine = ours(encoder_outputs=audio, past_key_values=mine.past_key_values, **step)
    other = theirs(encoder_outputs=(other.encoder_last_hidden_state,), past_key_values=other.past_key_values, **step)
    torch.testing.assert_close(mine.logits, other.logits, rtol=0, atol=1e-4)
    alone = ours(features[1:], decoder_input_ids=tokens[1:, 3:])
    torch.testing.assert_close(mine.logits[1], alone.logits[0, -2:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_without_sdpa_padding_sees_nothing_and_nothing_becomes_nan(small):
    _, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1]])
    fast = ours(features, decoder_input_ids=tokens, decoder_attention_mask=mask)
    slow = ours(features, decoder_input_ids=tokens, decoder_attention_mask=mask, output_attentions=True)
    assert fast.logits.isfinite().all()
    torch.testing.assert_close(fast.logits[:, 2:], slow.logits[:, 2:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_beams_reorder_repeat_and_crop(small):
    _, ours = small
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 4, 7)
    first = ours(features, decoder_input_ids=tokens[::2, :1])
    cache, audio = first.past_key_values, first.encoder_last_hidden_state
    cache.repeat(2)
    tokens[:, 0] = tokens[::2, 0].repeat_interleave(2)
    audio = audio.repeat_interleave(2, 0)
    ours(encoder_outputs=(audio,), decoder_input_ids=tokens[:, 1:4], past_key_values=cache)
    rows = torch.tensor([1, 1, 3, 2])
    cache.reorder(rows)
    history = tokens[rows]
    junk = ours(encoder_outputs=(audio,), decoder_input_ids=tokens[:, 5:], past_key_values=cache)
    junk.past_key_values.crop(4)
    step = ours(encoder_outputs=(audio,), decoder_input_ids=tokens[:, 4:], past_key_values=cache)
    whole = ours(encoder_outputs=(audio,), decoder_input_ids=torch.cat([history[:, :4], tokens[:, 4:]], 1))

    torch.testing.assert_close(step.logits, whole.logits[:, 4:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_may_change_to_other_audio(small):
    _, ours = small
    features, tokens = features_for(ours.config, 3), tokens_for(ours.config, 3, 4)
    cache = ours(features, decoder_input_ids=tokens[:, :3]).past_key_values
    rows = torch.tensor([2, 0, 0])
    cache.reorder(rows)
    step = ours.get_decoder()(tokens[rows, 3:], past_key_values=cache)
    whole = ours.model(features[rows], decoder_input_ids=tokens[rows])

    torch.testing.assert_close(step.last_hidden_state, whole.last_hidden_state[:, 3:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_an_output_is_a_dictionary_a_tuple_and_attributes(small):
    _, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 3)
    output = ours(features, decoder_input_ids=tokens, labels=tokens)
    assert isinstance(output, Seq2SeqLMOutput)
    assert list(output.keys()) == ["loss", "logits", "past_key_values", "encoder_last_hidden_state"]
    assert output[0] is output["loss"] is output.loss
    assert output[1:3] == (output.logits, output.past_key_values)
    assert output.cross_attentions is None
    as_tuple = ours(features, decoder_input_ids=tokens, return_dict=False)
    assert isinstance(as_tuple, tuple)
    assert len(as_tuple) == 3


GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"))


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_errs_no_more_than_the_reference(dtype, device):
    """Both round at every step, in another order: what they differ by is bounded by what each is off the float32.

    Off by up to 3 % of the logits' spread in bfloat16 (8 bits of mantissa through a dozen roundings), ours at most 1.3
    times as much as the reference on average.
    """
    theirs, ours = pair()
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 2, 9)
    exact = theirs(features, decoder_input_ids=tokens).logits
    theirs, ours = theirs.to(device, dtype), ours.to(device, dtype)
    features, tokens = features.to(device, dtype), tokens.to(device)
    for wanted in ({}, {"output_attentions": True}):
        off = (ours(features, decoder_input_ids=tokens, **wanted).logits.float().cpu() - exact).abs()
        reference = (theirs(features, decoder_input_ids=tokens).logits.float().cpu() - exact).abs()
        assert off.mean() <= 1.3 * reference.mean()
        assert off.mean() <= 0.03 * exact.std()


@torch.no_grad()
def test_several_texts_in_a_row_told_by_positions_do_not_see_each_other(small):
    theirs, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 7)
    inputs = {
        "decoder_input_ids": tokens,
        "decoder_position_ids": torch.tensor([[0, 1, 2, 0, 1, 0, 1]]),
        "use_cache": False,
    }
    output = ours(features, **inputs)
    torch.testing.assert_close(output.logits, theirs(features, **inputs).logits, rtol=0, atol=1e-4)
    alone = ours(features, decoder_input_ids=tokens[:, 3:5])
    torch.testing.assert_close(output.logits[:, 3:5], alone.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("added", [False, True])
@torch.no_grad()
def test_a_mask_of_four_dimensions_is_taken_as_it_is(small, added):
    theirs, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 5)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    mask[..., 3:, 1] = False
    other = torch.zeros(1, 1, 5, 5).masked_fill(~mask, torch.finfo(torch.float32).min)
    expected = theirs(features, decoder_input_ids=tokens, decoder_attention_mask=other, use_cache=False).logits
    given = other if added else mask
    for wanted in (False, True):
        output = ours(features, decoder_input_ids=tokens, decoder_attention_mask=given, output_attentions=wanted)
        torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_embeddings_may_be_given_instead_of_tokens(small):
    theirs, ours = small
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 2, 5)
    embedded = ours.get_input_embeddings()(tokens)
    same(ours(features, decoder_inputs_embeds=embedded), theirs(features, decoder_inputs_embeds=embedded))
    with pytest.raises(ValueError, match="give either tokens"):
        ours(features, decoder_inputs_embeds=embedded, decoder_input_ids=tokens)
    with pytest.raises(ValueError, match="give either tokens"):
        ours(features)


@torch.no_grad()
def test_the_configuration_says_what_is_wanted_where_the_call_does_not(small):
    _, ours = pair(output_hidden_states=True, output_attentions=True, use_cache=False)
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 3)
    output = ours(features, decoder_input_ids=tokens)
    assert len(output.decoder_hidden_states) == len(output.encoder_hidden_states) == 3
    assert len(output.encoder_attentions) == 2
    assert output.past_key_values is None
    ours.config.return_dict = False
    assert isinstance(ours(features, decoder_input_ids=tokens), tuple)
    assert isinstance(ours(features, decoder_input_ids=tokens, return_dict=True), Seq2SeqLMOutput)


def test_what_does_not_fit_is_refused_with_the_numbers(small):
    _, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 3)
    with pytest.raises(ValueError, match="takes 100 log-mel frames, got 60"):
        ours(features[..., :60], decoder_input_ids=tokens)
    with pytest.raises(ValueError, match=r"must have shape \(1, 3\).*got \(1, 2\)"):
        ours(features, decoder_input_ids=tokens, decoder_attention_mask=torch.ones(1, 2))
    with pytest.raises(ValueError, match="has 64 positions, not enough for 0 tokens and 65 more"):
        ours(features, decoder_input_ids=torch.zeros(1, 65, dtype=torch.long))
    with pytest.raises(ValueError, match="give either input_features or encoder_outputs"):
        ours(decoder_input_ids=tokens)


@torch.no_grad()
def test_ragged_rows_say_what_the_reference_shaped_pass_says(small):
    _, ours = small
    features, tokens = features_for(ours.config, 2), tokens_for(ours.config, 2, 9)
    expected = ours.model(features, decoder_input_ids=tokens).last_hidden_state
    decoder = ours.get_decoder()
    hidden, _ = decoder.extend(
        tokens, torch.arange(9).expand(2, -1), decoder.new_cache(ours.get_encoder().encode(features))
    )
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("features", [torch.zeros(1, 81, 100), torch.zeros(80, 100), torch.zeros(1, 80, 100).double()])
def test_features_of_another_network_are_refused_with_what_is_expected(small, features):
    _, ours = small
    with pytest.raises(ValueError, match=r"input_features must be \(batch, 80, frames\) torch.float32, got \("):
        ours.model.encoder.encode(features)


@torch.no_grad()
def test_under_autocast_features_may_be_of_another_type(small):
    theirs, ours = small
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(features.bfloat16(), decoder_input_ids=tokens).logits
        expected = theirs(features.bfloat16(), decoder_input_ids=tokens).logits
    assert (found - expected).abs().mean() <= 0.05 * expected.std()
