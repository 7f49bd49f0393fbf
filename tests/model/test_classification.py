"""The audio classifier against the reference's."""

import pytest
import torch
import transformers

from model.classification import WhisperForAudioClassification
from model.config import WhisperConfig
from model.layers.outputs import BaseModelOutput
from tests.model.test_forward import same

SIZES = {
    "vocab_size": 20, "d_model": 32, "encoder_layers": 3, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 20,
    "pad_token_id": 1, "classifier_proj_size": 24, "num_labels": 5, "init_std": 0.4,
}  # fmt: skip


def both(**changes):
    torch.manual_seed(0)
    theirs = transformers.WhisperForAudioClassification(
        transformers.WhisperConfig(**SIZES | changes, attn_implementation="eager")
    )
    ours = WhisperForAudioClassification(WhisperConfig(**SIZES | changes))
    with torch.no_grad():
        if changes.get("use_weighted_layer_sum"):
            theirs.layer_weights.normal_()
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


@pytest.mark.parametrize("summed", [False, True])
def test_logits_loss_and_gradients_equal_the_reference(summed):
    theirs, ours = both(use_weighted_layer_sum=summed)
    features, labels = torch.randn(3, 80, 40), torch.tensor([0, 4, 2])
    wanted = {"output_attentions": True, "output_hidden_states": True}
    expected, output = theirs(features, labels=labels, **wanted), ours(features, labels=labels, **wanted)
    same(output, expected)
    expected.loss.backward()
    output.loss.backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_the_encoder_s_output_may_be_given():
    theirs, ours = both(use_weighted_layer_sum=True)
    features = torch.randn(2, 80, 40)
    audio = ours.get_encoder()(features, output_hidden_states=True)
    expected = theirs(features).logits
    for given in (audio, audio.to_tuple()):
        torch.testing.assert_close(ours(encoder_outputs=given).logits, expected, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="needs encoder_outputs with hidden_states"):
        ours(encoder_outputs=BaseModelOutput(audio.last_hidden_state))
    with pytest.raises(ValueError, match="give either input_features or encoder_outputs"):
        ours()


def test_a_frozen_encoder_leaves_only_the_head_to_train():
    _, ours = both()
    ours.freeze_encoder()
    trained = {name for name, weight in ours.named_parameters() if weight.requires_grad}
    assert trained == {"projector.weight", "projector.bias", "classifier.weight", "classifier.bias"}
    assert ours.num_parameters(only_trainable=True) == 32 * 24 + 24 + 24 * 5 + 5
