"""The decoder alone, against the reference's."""

import pytest
import torch
import transformers

from model.causal import WhisperForCausalLM
from model.config import WhisperConfig
from model.layers.outputs import BaseModelOutput
from tests.model.checkpoints import random_whisper, save
from tests.model.test_forward import same
from tests.model.test_whisper import features_for, tokens_for


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = save(random_whisper(), tmp_path_factory.mktemp("whole"))
    theirs = transformers.WhisperForCausalLM.from_pretrained(folder, attn_implementation="eager")
    return theirs.eval(), WhisperForCausalLM.from_pretrained(folder)


@torch.no_grad()
@pytest.mark.parametrize("given", ["tensor", "output", "tuple", "nothing"])
def test_logits_states_and_attentions_equal_the_reference(both, given):
    theirs, ours = both
    tokens = tokens_for(ours.config, 2, 7)
    audio = torch.randn(2, 50, 32, generator=torch.Generator().manual_seed(4))
    wanted = {"output_attentions": True, "output_hidden_states": True, "labels": tokens}
    as_given = {"tensor": audio, "output": BaseModelOutput(audio), "tuple": (audio,), "nothing": None}[given]
    expected = theirs(tokens, encoder_outputs=None if given == "nothing" else (audio,), **wanted)
    output = ours(tokens, encoder_outputs=as_given, **wanted)
    if given == "nothing":
        # The reference returns an empty tuple here.
        assert output.cross_attentions == ()
    same(output, expected)


@torch.no_grad()
def test_it_writes_on_with_a_cache(both):
    _, ours = both
    tokens, audio = tokens_for(ours.config, 2, 7), torch.randn(2, 50, 32)
    whole = ours(tokens, encoder_outputs=audio, use_cache=False)
    first = ours(tokens[:, :4], encoder_outputs=audio)
    rest = ours(tokens[:, 4:], encoder_outputs=audio, past_key_values=first.past_key_values)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole.logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_it_says_what_the_whole_network_says(both, small_reference):
    _, ours = both
    features, tokens = features_for(ours.config, 1), tokens_for(ours.config, 1, 5)
    expected = small_reference(input_features=features, decoder_input_ids=tokens)
    output = ours(tokens, encoder_outputs=expected.encoder_last_hidden_state)
    torch.testing.assert_close(output.logits, expected.logits, rtol=0, atol=1e-4)


def test_the_configuration_given_is_left_as_it_is():
    config = WhisperConfig(vocab_size=50, d_model=16, encoder_attention_heads=2, decoder_attention_heads=2)
    network = WhisperForCausalLM(config)
    assert config.is_encoder_decoder
    assert not network.config.is_encoder_decoder
    assert network.can_generate()
