"""Training mode against the reference's: loss, gradients, and everything that is drawn."""

import numpy as np
import pytest
import torch

from model.whisper import WhisperForConditionalGeneration
from tests.model.checkpoints import TEXT_TOKENS, random_whisper
from tests.model.test_forward import pair
from tests.model.test_whisper import features_for, tokens_for

DRAWN = {
    "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1, "encoder_layerdrop": 0.4,
    "decoder_layerdrop": 0.4, "apply_spec_augment": True, "mask_time_prob": 0.3, "mask_feature_prob": 0.2,
}  # fmt: skip


def compare(theirs, ours, seed=None, atol=1e-4, **inputs):
    losses = []
    for network in (theirs, ours):
        network.zero_grad()
        if seed is not None:
            network.train()
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002  # the reference draws from the global generator
        given = {name: value.clone() for name, value in inputs.items()}
        output = network(**given)
        output.loss.backward()
        losses.append(output)
    torch.testing.assert_close(losses[1].loss, losses[0].loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses[1].logits, losses[0].logits, rtol=0, atol=atol)
    expected = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        assert (weight.grad is None) == (expected[name].grad is None), name
        if weight.grad is not None:
            wanted = expected[name].grad
            scale = max(float(wanted.abs().max()), 1e-3)
            torch.testing.assert_close(
                weight.grad, wanted, rtol=0, atol=1e-4 * scale, msg=lambda m, n=name: f"{n}: {m}"
            )
    return losses


def labels_for(config, batch=2, count=9):
    labels = tokens_for(config, batch, count, seed=5)
    labels[0, -3:] = -100
    labels[1, 2] = TEXT_TOKENS  # the padding token
    return labels


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_loss_and_gradients_equal_the_reference(attention):
    theirs, ours = pair(attn_implementation=attention)
    ours.config.attn_implementation = attention
    compare(theirs, ours, input_features=features_for(ours.config, 2), labels=labels_for(ours.config))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_seed_drops_and_masks_the_same_as_in_the_reference(seed, attention):
    theirs, ours = pair(attn_implementation=attention, **DRAWN)
    ours.config.attn_implementation = attention
    compare(theirs, ours, seed=seed, input_features=features_for(ours.config, 2), labels=labels_for(ours.config))


def test_spec_augment_masks_only_what_the_mask_calls_audio():
    theirs, ours = pair(**DRAWN)
    mask = (torch.arange(100) < torch.tensor([[60], [100]])).long()
    inputs = {"input_features": features_for(ours.config, 2), "labels": labels_for(ours.config), "attention_mask": mask}
    compare(theirs, ours, seed=4, **inputs)


@pytest.mark.parametrize("function", ["relu", "silu", "gelu_new"])
def test_other_activations_train_as_in_the_reference(function):
    theirs, ours = pair(activation_function=function)
    compare(theirs, ours, input_features=features_for(ours.config, 2), labels=labels_for(ours.config))


def test_scaling_the_embedding_has_no_effect_as_in_the_reference():
    theirs, ours = pair(scale_embedding=True)
    compare(theirs, ours, input_features=features_for(ours.config, 2), labels=labels_for(ours.config))


def test_a_frozen_encoder_gets_no_gradients():
    _, ours = pair()
    ours.freeze_encoder()
    ours(features_for(ours.config), labels=labels_for(ours.config)[:1]).loss.backward()
    assert all(weight.grad is None for weight in ours.model.encoder.parameters())
    assert ours.model.decoder.layers[0].fc1.weight.grad is not None


def test_gradients_can_be_had_through_a_cache():
    _, ours = pair()
    features, tokens = features_for(ours.config), tokens_for(ours.config, 1, 6)
    whole = ours(features, decoder_input_ids=tokens, use_cache=False).logits
    (expected,) = torch.autograd.grad(whole[:, -1].sum(), ours.model.decoder.layers[0].self_attn.k_proj.weight)
    first = ours(features, decoder_input_ids=tokens[:, :3])
    cache, audio = first.past_key_values, first.encoder_last_hidden_state
    for at in (3, 4, 5):
        step = ours(encoder_outputs=(audio,), decoder_input_ids=tokens[:, at : at + 1], past_key_values=cache)
    (got,) = torch.autograd.grad(step.logits.sum(), ours.model.decoder.layers[0].self_attn.k_proj.weight)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_labels_longer_than_the_positions_are_refused():
    _, ours = pair()
    with pytest.raises(ValueError, match=r"labels must be at most 64 tokens \(max_target_positions\), got 65"):
        ours(features_for(ours.config), labels=torch.zeros(1, 65, dtype=torch.long))


def test_a_new_network_starts_as_the_reference_does():
    shape = {"vocab_size": 500, "d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "pad_token_id": 3}
    reference, config = random_whisper(**shape), random_whisper(**shape).config
    torch.manual_seed(0)
    reference = type(reference)(config)
    ours = WhisperForConditionalGeneration(pair(**shape)[1].config)
    assert torch.equal(ours.model.encoder.embed_positions.weight, reference.model.encoder.embed_positions.weight)
    assert not ours.model.decoder.embed_tokens.weight[3].any()
    for (name, mine), other in zip(ours.named_parameters(), reference.parameters(), strict=True):
        assert mine.requires_grad == other.requires_grad, name
        if mine.numel() > 5000:
            assert float(mine.detach().std()) == pytest.approx(float(other.detach().std()), rel=0.1), name
        elif mine.ndim == 1:
            assert torch.equal(mine, other), name
