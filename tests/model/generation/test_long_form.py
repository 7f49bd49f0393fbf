"""Long form on a small network: recordings of several windows, against the reference with every option."""

import pytest
import torch

from tests.model.generation.listeners import DE, EN, EOT, PREVIOUS, SOT, mask, networks, sound
from tests.model.generation.sameness import both

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__")  # of the reference, which hands NumPy a tensor
LENGTHS = (2.9, 1.4, 2.2)
PROMPT = torch.tensor([PREVIOUS, 7, 9, 11])

OPTIONS = {
    "plain": {},
    "segments": {"return_segments": True},
    "language and task": {"language": ["en", "german", "<|fr|>"], "task": "translate", "return_segments": True},
    "times of tokens": {"return_token_timestamps": True, "return_segments": True},
    "times of tokens without segments": {"return_token_timestamps": True},
    "earlier text": {"condition_on_prev_tokens": True, "return_segments": True},
    "earlier text, static cache": {"condition_on_prev_tokens": True, "cache_implementation": "static"},
    "a prompt": {"prompt_ids": PROMPT, "return_segments": True},
    "a prompt, then earlier text": {"prompt_ids": PROMPT, "condition_on_prev_tokens": True, "return_segments": True},
    "a prompt before earlier text": {
        "prompt_ids": PROMPT, "condition_on_prev_tokens": True, "prompt_condition_type": "all-segments",
    },
    "another clock": {"time_precision": 0.04, "time_precision_features": 0.02, "return_segments": True},
    "new tokens": {"max_new_tokens": 6},
    "beams": {"num_beams": 3, "return_segments": True},
    "a window": {"force_unique_generate_call": True},
    "a window with times": {"force_unique_generate_call": True, "return_token_timestamps": True},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_batch_of_different_lengths(options):
    seed = len(options) % 2
    found, _ = both(
        networks(seed), sound(*LENGTHS, seed=seed), attention_mask=mask(*LENGTHS), return_timestamps=True, **options
    )

    sequences = found["sequences"] if isinstance(found, dict) else found
    assert len({tuple(row) for row in sequences.tolist()}) == len(LENGTHS)  # else nothing was heard


@pytest.mark.parametrize(
    "options", [{}, {"return_token_timestamps": True}, {"condition_on_prev_tokens": True}], ids=str
)
def test_one_recording_needs_no_mask(options):
    both(networks(1), sound(2.7), return_timestamps=True, return_segments=True, language="de", **options)


FALLBACKS = {
    "loops": {"compression_ratio_threshold": 0.9},
    "unlikely text": {"logprob_threshold": -1.2},
    "both, after earlier text": {
        "compression_ratio_threshold": 1.0, "logprob_threshold": -1.5, "condition_on_prev_tokens": True,
    },
    "beams, until something was drawn": {"logprob_threshold": -1.15, "num_beams": 2},
}  # fmt: skip


@pytest.mark.parametrize("options", FALLBACKS.values(), ids=FALLBACKS)
@pytest.mark.parametrize("temperature", [(0.0, 0.4), [0.3]], ids=str)
def test_what_is_not_good_enough_is_drawn_as_the_reference_draws(options, temperature):
    both(
        networks(1), sound(*LENGTHS), seed=3, attention_mask=mask(*LENGTHS), return_timestamps=True,
        return_segments=True, language="en", temperature=temperature, **options,
    )  # fmt: skip


@pytest.mark.parametrize("high", [0.5, 0.8])
def test_what_was_drawn_at_a_high_temperature_leads_nothing(high):
    both(
        networks(1), sound(3.3), seed=3, return_timestamps=True, return_segments=True, language="en",
        condition_on_prev_tokens=True, logprob_threshold=-1.15, temperature=(0.0, high),
    )  # fmt: skip


@pytest.mark.parametrize("threshold", [0.0, 0.012, 1.0])
def test_what_is_no_speech_is_skipped(threshold):
    """A threshold at which all, some or none of the windows are silence."""
    skipped = {
        "no_speech_threshold": threshold, "logprob_threshold": 0.0, "temperature": 0.0, "return_segments": True,
        "language": "en", "return_timestamps": True, "attention_mask": mask(*LENGTHS),
    }  # fmt: skip
    found, _ = both(networks(0), sound(*LENGTHS), **skipped)

    counts = [len(segments) for segments in found["segments"]]
    assert (threshold == 0.0) == (sum(counts) == 0)


def test_a_recording_in_a_batch_is_judged_by_its_own_silence():
    """The reference takes a neighbour's, once some of a batch are tried again: so it transcribes each alone."""
    judged = {
        "no_speech_threshold": 0.012, "logprob_threshold": -1.2, "temperature": (0.0, 0.0), "language": "en",
        "return_timestamps": True, "return_segments": True,
    }  # fmt: skip
    ours, theirs = networks(0)
    features = sound(*LENGTHS)
    found = ours.generate(features, attention_mask=mask(*LENGTHS), **judged)["segments"]
    lengths = [round(100 * length) for length in LENGTHS]
    alone = [theirs.generate(features[i : i + 1, :, :n], **judged)["segments"][0] for i, n in enumerate(lengths)]
    together = theirs.generate(features, attention_mask=mask(*LENGTHS), **judged)["segments"]

    assert texts(found) == texts(alone)
    assert texts(found) != texts(together)  # else this compares nothing


def texts(recordings):
    return [[segment["tokens"].tolist() for segment in segments] for segments in recordings]


def test_several_texts_of_a_recording():
    found, _ = both(
        networks(1), sound(*LENGTHS[:2]), attention_mask=mask(*LENGTHS[:2]), return_timestamps=True, temperature=0.8,
        num_return_sequences=2, do_sample=True, language="en",
    )  # fmt: skip

    assert len(found) == 4


def test_languages_are_heard_in_the_first_window():
    ours, theirs = networks(0)
    features = sound(2.5, 2.5, 2.5, 2.5, 2.5)
    expected = theirs.detect_language(features[:, :, :100], num_segment_frames=100)

    assert ours.detect_language(features, num_segment_frames=100).tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 1
    assert set(expected.tolist()) <= {EN, DE, DE + 1}


def test_results_hold_everything_if_the_caller_wants_it():
    found, expected = both(
        networks(0), sound(*LENGTHS), attention_mask=mask(*LENGTHS), return_timestamps=True, language="en",
        return_dict_in_generate=True, output_scores=True, output_attentions=True, output_hidden_states=True,
    )  # fmt: skip

    for ours, theirs in zip(found["segments"][1], expected["segments"][1], strict=True):
        assert set(ours["result"]) == set(theirs["result"])
        for name in set(theirs["result"]) - {"past_key_values"}:
            torch.testing.assert_close(ours["result"][name], theirs["result"][name], atol=1e-4, rtol=1e-4)
        assert ours["result"]["past_key_values"] is None


def test_silence_gives_no_tokens():
    silent = {"no_speech_threshold": 0.0, "logprob_threshold": 0.0, "temperature": 0.0, "return_timestamps": True}
    ours, _ = networks(0)
    found = ours.generate(sound(1.5, 2.5), attention_mask=mask(1.5, 2.5), **silent)

    assert found.shape == (2, 0)
    assert found.dtype is torch.long


class Noted:
    """A processor that is told how long prompts are."""

    def __init__(self):
        self.lengths = []

    def set_begin_index(self, begin_index):
        self.lengths.append(begin_index)

    def __call__(self, _, scores):
        return scores


def test_earlier_text_leaves_the_prompt_the_room_that_the_configuration_says():
    noted, told = [Noted(), Noted()], [PROMPT, PROMPT[:2]]
    for each, prompt in zip(noted, told, strict=True):
        ours, _ = networks(1, earlier_tokens=5)
        ours.generate(
            sound(2.9), return_timestamps=True, condition_on_prev_tokens=True, language="en", logits_processor=[each],
            prompt_ids=prompt, prompt_condition_type="all-segments",
        )  # fmt: skip

    assert [max(each.lengths) for each in noted] == [len(prompt) + 5 + len(["start", "en", "task"]) for prompt in told]


def test_a_cache_that_the_caller_brings_is_of_the_first_window():
    ours, _ = networks(1)
    said = {"return_timestamps": True, "language": "en"}
    expected = ours.generate(sound(2.7), **said)
    with torch.no_grad():
        read = ours(sound(2.7)[:, :, :100], decoder_input_ids=torch.tensor([[SOT, EN]]), use_cache=True)

    assert ours.generate(sound(2.7), past_key_values=read.past_key_values, **said).tolist() == expected.tolist()


@pytest.mark.parametrize("pad", [0, EOT + 8])
def test_padding_is_the_configuration_s(pad):
    ours, theirs = networks(0, pad_token_id=pad)
    both((ours, theirs), sound(*LENGTHS), attention_mask=mask(*LENGTHS), return_timestamps=True, language="en")
