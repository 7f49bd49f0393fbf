"""Where choices of `generate` come from besides its arguments, and what they leave alone."""

import pytest
import torch
import transformers

from model.generation.arguments import INPUTS
from model.generation_config import GenerationConfig
from tests.model.generation.listeners import DE, EN, EOT, FR, SOT, TRANSCRIBE, TRANSLATE, mask, networks, sound
from tests.model.generation.sameness import both

CHOICES = {
    "timestamps": {"return_timestamps": True},
    "everything": {"return_dict_in_generate": True},
    "one window": {"force_unique_generate_call": True},
    "loops": {"compression_ratio_threshold": 0.9},
    "unlikely text": {"logprob_threshold": -1.2},
    "silence": {"no_speech_threshold": 0.0, "logprob_threshold": 0.0},
}


def told(result):
    return type(result).__name__, (result if isinstance(result, torch.Tensor) else result["sequences"]).tolist()


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_a_field_of_the_configuration_chooses_as_the_argument_does(choice):
    features, said = sound(1.0, 1.0), {"language": "en", "temperature": (0.0, 0.4)}
    found = []
    for field, argument in ((choice, {}), ({}, choice), ({}, {})):
        torch.manual_seed(3)
        found.append(told(networks(1, **field)[0].generate(features, **said, **argument)))

    assert found[0] == found[1] != found[2]
    if "logprob_threshold" not in choice:  # the reference fails where none of its arguments asks for scores
        both(networks(1, **choice), features, seed=3, **said)


def test_long_form_predicts_timestamps_where_nothing_says_whether_to():
    both(networks(0, return_timestamps=None), sound(1.7), language="en")


def test_earlier_text_by_the_configuration_leaves_the_prompt_of_the_first_window_as_it_is():
    """An argument makes earlier text of it, with the token that earlier text begins with."""
    twins = networks(1, condition_on_prev_tokens=True)
    prompt = torch.tensor([7, 9, 11])
    told = {"prompt_ids": prompt, "return_timestamps": True, "language": "en"}
    found, _ = both(twins, sound(2.7), **told)
    by_argument, _ = both(twins, sound(2.7), **told, condition_on_prev_tokens=True)

    assert found.tolist() != by_argument.tolist()


def test_configurations_are_left_as_they_are():
    ours, _ = networks(0)
    given = GenerationConfig(max_new_tokens=4, num_beams=2, suppress_tokens=[5])
    before = given.to_dict(), ours.generation_config.to_dict()

    ours.generate(
        sound(1.7), generation_config=given, language="fr", task="translate", return_timestamps=True, temperature=0.4,
        return_token_timestamps=True, condition_on_prev_tokens=True, logprob_threshold=-9.0,
    )  # fmt: skip

    assert (given.to_dict(), ours.generation_config.to_dict()) == before


def test_inputs_that_are_none_are_as_if_they_were_not_given():
    ours, _ = networks(0)
    plain = ours.generate(sound(1.0)).tolist()

    assert ours.generate(sound(1.0), **dict.fromkeys(INPUTS)).tolist() == plain
    assert ours.generate(sound(1.0), num_frames=torch.tensor([100])).tolist() == plain


def test_forced_tokens_of_the_network_s_configuration_count_where_no_other_says_more(monkeypatch):
    ours, theirs = networks(0)
    forced = [[1, FR], [2, TRANSLATE]]
    monkeypatch.setitem(ours.config.extra, "forced_decoder_ids", forced)
    monkeypatch.setattr(theirs.config, "forced_decoder_ids", forced, raising=False)

    found, _ = both((ours, theirs), sound(1.0), force_unique_generate_call=True)

    assert found[0, :3].tolist() == [SOT, FR, TRANSLATE]


def test_forced_tokens_that_do_not_begin_after_the_start_are_none():
    found, _ = both(networks(0, forced_decoder_ids=[[2, TRANSLATE]]), sound(1.0), force_unique_generate_call=True)

    assert TRANSLATE not in found[0, :4].tolist()


def test_languages_are_heard_among_those_of_the_configuration_given_and_in_as_many_frames_as_asked_for():
    ours, theirs = networks(0)
    features = sound(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    fields = {"lang_to_id": {"<|de|>": DE}, "decoder_start_token_id": SOT}
    expected = theirs.detect_language(
        features, generation_config=transformers.GenerationConfig(**fields), num_segment_frames=100
    )
    found = ours.detect_language(features, generation_config=GenerationConfig(**fields), num_segment_frames=100)
    assert found.tolist() == expected.tolist() == [DE] * 6

    begun = features * (torch.arange(100) < 20)
    assert ours.detect_language(features, num_segment_frames=20).tolist() == ours.detect_language(begun).tolist()
    assert ours.detect_language(begun).tolist() != ours.detect_language(features).tolist()


def test_rows_are_filled_with_the_first_of_several_ends_where_no_padding_is_named():
    ends = [EOT, 5, 9]
    found, expected = (
        networks(0, eos_token_id=ends, pad_token_id=pad)[0].generate(sound(1.0, 1.0, 1.0)) for pad in (None, EOT)
    )

    assert found.tolist() == expected.tolist()
    assert (found[:, -1] == EOT).any()


def test_each_text_of_a_recording_begins_with_the_caller_s_decoder_input():
    ours, _ = networks(0)
    ids = torch.tensor([[SOT, EN, TRANSCRIBE], [SOT, DE, TRANSLATE]])

    found = ours.generate(
        sound(1.0, 1.0), decoder_input_ids=ids, num_return_sequences=2, do_sample=True, temperature=0.7,
        force_unique_generate_call=True,
    )  # fmt: skip

    assert found[:, :3].tolist() == ids.repeat_interleave(2, dim=0).tolist()


def test_as_many_new_tokens_as_there_are_positions_may_be_asked_for():
    found, _ = both(networks(0, eos_token_id=EOT), sound(1.0), max_new_tokens=61, force_unique_generate_call=True)

    assert found.shape[1] <= 64


@pytest.mark.parametrize(("lengths", "audible"), [((2.7,), (150,)), ((1.0, 1.0), (60, 100))])
def test_a_mask_shortens_only_what_is_long_and_of_a_batch(lengths, audible):
    features = sound(*lengths)
    audio = (torch.arange(features.shape[2]) < torch.tensor(audible)[:, None]).long()

    both(networks(1), features, attention_mask=audio, return_timestamps=True, return_segments=True, language="en")


def test_times_of_tokens_are_smoothed_as_widely_as_the_network_s_configuration_says():
    asked = {"attention_mask": mask(1.0, 1.0), "return_token_timestamps": True, "language": "en"}
    narrow, wide = (both(networks(0, width), sound(1.0, 1.0), **asked)[0] for width in (1, 7))

    assert narrow["token_timestamps"].tolist() != wide["token_timestamps"].tolist()


def test_times_of_tokens_that_are_tried_again_end_with_the_audio_of_their_own_recording():
    ours, _ = networks(0)
    asked = {"language": "en", "return_token_timestamps": True, "return_segments": True}
    features, audio = sound(1.0, 0.5, seed=9), mask(1.0, 0.5)
    plain = ours.generate(features, attention_mask=audio, logprob_threshold=-99.0, temperature=0.0, **asked)
    likely, unlikely = (float(row[0]["token_log_probabilities"].mean()) for row in plain["segments"])
    assert unlikely < likely  # so that only the second, the shorter, is tried again

    threshold = (likely + unlikely) / 2
    again = ours.generate(features, attention_mask=audio, logprob_threshold=threshold, temperature=(0.0, 0.0), **asked)

    assert again["token_timestamps"].tolist() == plain["token_timestamps"].tolist()
    assert float(again["token_timestamps"][1].max()) <= 0.5


def test_probabilities_of_drawn_tokens_are_the_network_s_own_whatever_the_temperature():
    ours, _ = networks(0, suppress_tokens=None, begin_suppress_tokens=None)
    features = sound(1.0)
    found = ours.generate(
        features, language="en", temperature=0.6, top_k=0, logprob_threshold=-99.0, return_segments=True,
        max_new_tokens=8,
    )  # fmt: skip

    segment = found["segments"][0][0]
    sequence = segment["result"]["sequences"]
    with torch.no_grad():
        read = ours(features, decoder_input_ids=sequence[None, :-1]).logits[0].log_softmax(dim=-1)
    first, after = segment["idxs"]
    expected = read[first - 1 : after - 1].gather(1, sequence[first:after, None])[:, 0]
    torch.testing.assert_close(segment["token_log_probabilities"], expected, atol=1e-4, rtol=1e-4)
