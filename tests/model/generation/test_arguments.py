"""What `generate` refuses, as the reference does or where the reference fails further on."""

import pytest
import torch

from tests.model.generation.listeners import EOT, PREVIOUS, SOT, TRANSCRIBE, mask, networks, sound
from tests.model.generation.sameness import both_refuse

OUTDATED = {"lang_to_id": None, "task_to_id": None, "is_multilingual": None}

REFUSED = {
    "neither input": ({}, None, {}, "input_features or encoder_outputs"),
    "long form without timestamps": ({}, sound(1.5), {"return_timestamps": False}, "return_timestamps must be True"),
    "long form by default": ({}, sound(1.5), {}, "return_timestamps must be True"),
    "a long batch without mask": ({}, sound(1.5, 1.2), {"return_timestamps": True}, "attention_mask"),
    "an unknown language": ({}, sound(1.0), {"language": "klingon"}, "Unsupported language: klingon"),
    "a language it lacks": ({}, sound(1.0), {"language": "czech"}, r"no language <\|cs\|>"),
    "too few languages": ({}, sound(1.0, 1.0), {"language": ["en"]}, "2, got 1"),
    "too many languages": ({}, sound(1.0, 1.0), {"language": ["en", "de", "fr"]}, "2, got 3"),
    "no language in a list": ({}, sound(1.0, 1.0), {"language": ["en", None]}, "a name for each"),
    "an unknown task": ({}, sound(1.0), {"task": "sing"}, "translate"),
    "language of an English network": ({"is_multilingual": False}, sound(1.0), {"language": "en"}, "English-only"),
    "language of a network said to be English": (
        {}, sound(1.0), {"is_multilingual": False, "language": "en"}, "English-only",
    ),
    "task of an English network": ({"is_multilingual": False}, sound(1.0), {"task": "transcribe"}, "English-only"),
    "language of an older one": (OUTDATED, sound(1.0), {"language": "en"}, "lang_to_id"),
    "task of an older one": (OUTDATED, sound(1.0), {"task": "translate"}, "task_to_id"),
    "kind of an older one": (OUTDATED, sound(1.0), {"is_multilingual": True}, "is_multilingual"),
    "timestamps of an older one": (
        {"no_timestamps_token_id": None}, sound(1.0), {"return_timestamps": True}, "no_timestamps_token_id",
    ),
    "times of tokens without heads": (
        {"alignment_heads": None}, sound(1.0), {"return_token_timestamps": True}, "alignment_heads",
    ),
    "an unknown condition": ({}, sound(1.0), {"prompt_condition_type": "none"}, "first-segment, all-segments"),
    "a condition without earlier text": (
        {}, sound(1.0), {"prompt_condition_type": "all-segments"}, "condition_on_prev_tokens=True",
    ),
    "too many new tokens": ({}, sound(1.0), {"max_new_tokens": 63}, "at most max_target_positions, 64, got 66"),
    "a prompt beyond max_length": (
        {}, sound(1.0), {"prompt_ids": torch.full((30,), 5), "max_length": 20}, "max_length, 20",
    ),
    "gaps in what is forced": (
        {"forced_decoder_ids": [[1, 43], [3, TRANSCRIBE]]}, sound(1.0), {}, "every position",
    ),
    "an argument that is none": ({}, sound(1.0), {"beam_count": 3}, "beam_count"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "features", "arguments", "match"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_the_reference_refuses(fields, features, arguments, match):
    both_refuse(networks(0, **fields), features, match, **arguments)


@pytest.mark.parametrize(
    ("fields", "arguments", "match"),
    [
        ({}, {"synced_gpus": True}, "synced_gpus"),
        ({}, {"no_speech_threshold": 0.5}, "logprob_threshold"),
        (
            {"no_timestamps_token_id": None}, {"no_speech_threshold": 0.5, "logprob_threshold": -1.0},
            "no_timestamps_token_id",
        ),
        ({"task_to_id": {"transcribe": TRANSCRIBE}}, {"task": "translate"}, "'translate' .* one of transcribe$"),
        ({}, {"temperature": ()}, "at least one"),
        ({}, {"prompt_ids": torch.tensor([[PREVIOUS, 4]])}, "shape"),
        ({}, {"prompt_ids": torch.tensor([])}, "shape"),
        ({}, {"decoder_input_ids": torch.tensor([[SOT]]), "assistant_model": "a network"}, "prompt_ids"),
    ],
    ids=str,
)  # fmt: skip
def test_refuses_what_cannot_be(fields, arguments, match):
    ours, _ = networks(0, **fields)
    with pytest.raises(ValueError, match=match):
        ours.generate(sound(1.0), **arguments)


def test_features_have_three_dimensions():
    ours, _ = networks(0)
    with pytest.raises(ValueError, match=r"\(8, 100\)"):
        ours.generate(sound(1.0)[0])


def test_languages_are_not_heard_by_a_network_without_any():
    ours, theirs = networks(0, lang_to_id=None)
    features = sound(1.0)
    with pytest.raises(ValueError, match="lang_to_id"):
        ours.detect_language(features)
    for network in networks(0):
        with pytest.raises(ValueError, match="both"):
            network.detect_language(features, encoder_outputs=torch.zeros(1, 50, 32))
        with pytest.raises(ValueError, match="either"):
            network.detect_language()
    assert theirs.generate(features, max_new_tokens=2).shape == ours.generate(features, max_new_tokens=2).shape


def test_a_longer_max_length_than_there_are_positions_ends_with_them():
    ours, _ = networks(0, eos_token_id=EOT)
    found = ours.generate(sound(1.0), max_length=500, suppress_tokens=[EOT], force_unique_generate_call=True)

    assert found.shape == (1, 64)
    assert mask(1.0).sum() == 100
