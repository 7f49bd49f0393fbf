"""Short form on a small network: what comes back, how arguments and configurations combine, against the reference."""

import logging

import pytest
import torch
import transformers
from transformers.modeling_outputs import BaseModelOutput as TheirModelOutput

from model.generation_config import GenerationConfig
from model.layers.outputs import BaseModelOutput
from tests.model.generation.listeners import (
    DE,
    EN,
    EOT,
    FR,
    NO_TIMESTAMPS,
    PREVIOUS,
    SOT,
    TRANSCRIBE,
    TRANSLATE,
    mask,
    networks,
    sound,
)
from tests.model.generation.sameness import Made, assert_same, both

PROMPT = torch.tensor([PREVIOUS, 7, 9, 11])

OPTIONS = {
    "nothing": {},
    "language": {"language": "german"},
    "language token": {"language": "<|DE|>"},
    "languages": {"language": ("en", "FR")},
    "task": {"task": "translate"},
    "prompt": {"prompt_ids": PROMPT},
    "timestamps": {"return_timestamps": True, "language": "en"},
    "times of tokens": {"return_token_timestamps": True, "language": "en"},
    "segments": {"return_segments": True},
    "tokens at most": {"max_new_tokens": 5},
    "tokens at least": {"min_new_tokens": 12, "max_new_tokens": 14},
    "length": {"max_length": 9},
    "beams": {"num_beams": 3, "language": "en"},
    "best of beams": {"num_beams": 3, "num_return_sequences": 2, "language": "en"},
    "draws": {"temperature": 0.7, "do_sample": True, "num_return_sequences": 2},
    "do_sample without temperature": {"do_sample": True},
    "top_k": {"temperature": 1.0, "top_k": 5, "top_p": 0.9},
    "suppressed": {"suppress_tokens": [9, 10, 11, 12, 13]},
    "nothing suppressed": {"suppress_tokens": None, "begin_suppress_tokens": None},
    "repetition": {"repetition_penalty": 1.8, "no_repeat_ngram_size": 2},
    "bad words": {"bad_words_ids": [[3], [5, 6]]},
    "static cache": {"cache_implementation": "static"},
    "no cache": {"use_cache": False, "max_new_tokens": 6},
    "forced": {"forced_decoder_ids": [[1, FR], [2, TRANSLATE]]},
    "prefix function": {"prefix_allowed_tokens_fn": lambda row, ids: [row + 4, 9, 20 + len(ids) % 7, EOT]},
    "one window": {"force_unique_generate_call": True},
    "ends": {"eos_token_id": [EOT, 5, 9]},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    if "forced_decoder_ids" in options:
        twins, options = networks(0, **options), {}
    else:
        twins = networks(0)
    both(twins, sound(1.0, 1.0), attention_mask=mask(1.0, 1.0), seed=4, **options)


RESULTS = {"return_dict_in_generate": True, "language": "en"}
TRACES = {"output_scores": True, "output_logits": True, "output_attentions": True, "output_hidden_states": True}


@pytest.mark.parametrize(
    "options",
    [
        {}, TRACES, {"num_beams": 2}, {"num_beams": 2, "output_scores": True}, {"return_timestamps": True},
        {"return_token_timestamps": True}, {"return_timestamps": True, "force_unique_generate_call": True},
        {"return_segments": True}, {"logprob_threshold": -1.0, "temperature": 0.0},
        {"num_beams": 2, "return_token_timestamps": True},
    ],
    ids=", ".join,
)  # fmt: skip
def test_a_dictionary_or_output_has_the_reference_s_fields(options):
    # Of beams the reference returns those of other rows, see below.
    but = ("decoder_attentions", "cross_attentions") if "num_beams" in options else ()
    found, expected = both(networks(0), sound(1.0, 1.0), attention_mask=mask(1.0, 1.0), but=but, **RESULTS, **options)

    assert type(found).__name__ == type(expected).__name__
    if found.get("past_key_values") is not None:
        assert found["past_key_values"].get_seq_length() == expected["past_key_values"].get_seq_length()


def test_what_the_encoder_did_is_told_once_for_each_recording_whatever_the_number_of_texts():
    several = {"temperature": 0.7, "do_sample": True, "num_return_sequences": 2, "max_new_tokens": 3}
    traces = {"output_attentions": True, "output_hidden_states": True, "force_unique_generate_call": True}
    found, _ = both(networks(0), sound(1.0, 1.0), attention_mask=mask(1.0, 1.0), **RESULTS, **several, **traces)

    assert len(found.sequences) == 4
    assert {len(layer) for layer in (*found.encoder_attentions, *found.encoder_hidden_states)} == {2}


def test_attention_of_beams_is_that_of_the_text_they_found():
    ours, _ = networks(0)
    features = sound(1.0, 1.0)
    found = ours.generate(features, num_beams=3, output_attentions=True, max_new_tokens=7, min_new_tokens=7, **RESULTS)
    with torch.no_grad():
        read = ours(features, decoder_input_ids=found.sequences[:, :-1], output_attentions=True)

    assert len(set(found.beam_indices[1].tolist())) > 1  # else the rows would be right by chance
    for layer, whole in enumerate(read.cross_attentions):
        steps = torch.cat([step[layer] for step in found.cross_attentions], dim=2)
        torch.testing.assert_close(steps, whole, atol=1e-4, rtol=1e-4)


def test_the_encoder_s_output_serves_as_input():
    ours, theirs = networks(0)
    features = sound(1.0, 1.0)
    with torch.no_grad():
        heard = ours.get_encoder()(features, return_dict=True).last_hidden_state
    found = ours.generate(encoder_outputs=BaseModelOutput(heard))

    assert found.tolist() == theirs.generate(encoder_outputs=TheirModelOutput(heard)).tolist()
    assert found.tolist() == ours.generate(features).tolist() == ours.generate(encoder_outputs=heard).tolist()


def test_shorter_input_is_padded_with_zeros():
    ours, theirs = networks(0)
    features = sound(0.6, 0.9)

    found = ours.generate(features)

    padded = torch.nn.functional.pad(features, (0, 10))
    assert found.tolist() == theirs.generate(padded).tolist()


def test_inputs_is_another_name_of_input_features():
    ours, _ = networks(0)
    features = sound(1.0)

    assert ours.generate(inputs=features).tolist() == ours.generate(features).tolist()
    with pytest.raises(ValueError, match="not both"):
        ours.generate(features, inputs=features)


@pytest.mark.parametrize("mask_too", [False, True])
def test_the_caller_s_decoder_input_is_the_prompt(mask_too):
    ids = torch.tensor([[EOT, SOT, EN, TRANSCRIBE, 5], [SOT, DE, TRANSCRIBE, 6, 7]])
    given = {"decoder_input_ids": ids} | ({"decoder_attention_mask": ids != EOT} if mask_too else {})

    both(networks(0), sound(1.0, 1.0), force_unique_generate_call=True, **given)


class Longer:
    """A criterion, a processor: of no library."""

    def __init__(self) -> None:
        self.begin_index = 0

    def set_begin_index(self, begin_index: int) -> None:
        self.begin_index = begin_index

    def __call__(self, ids, scores):
        scores = scores.clone()
        scores[:, 12 + (ids.shape[1] - self.begin_index) % 5] += 3
        return scores


def _longer():
    return [Longer()]


class Stop(transformers.StoppingCriteria):
    """Ends rows that said 15."""

    def __call__(self, ids, scores, **_):
        return (ids == 15).any(dim=-1)


def test_the_caller_s_processors_and_criteria_act():
    found, _ = both(
        networks(0), sound(1.0, 1.0), logits_processor=Made(_longer),
        stopping_criteria=transformers.StoppingCriteriaList([Stop()]),
    )  # fmt: skip

    assert (found == 15).any()


def test_argument_goes_before_given_configuration_and_that_before_the_network_s(caplog):
    ours, theirs = networks(0, max_length=12, suppress_tokens=[4])
    mine = {"suppress_tokens": [10], "max_new_tokens": 4, "language": "de"}
    features = sound(1.0)
    for more in ({}, {"max_new_tokens": 6, "language": "fr"}):
        found = ours.generate(features, generation_config=GenerationConfig(**mine), **more)
        expected = theirs.generate(features, generation_config=transformers.GenerationConfig(**mine), **more)

        assert found.tolist() == expected.tolist()
    assert "max_new_tokens" in caplog.text
    assert ours.generation_config.suppress_tokens == [4]
    assert not hasattr(ours.generation_config, "language")


def test_an_english_network_has_neither_language_nor_task():
    twins = networks(0, is_multilingual=False, lang_to_id=None, task_to_id=None)
    found, _ = both(twins, sound(1.0, 1.0), force_unique_generate_call=True)
    assert found[:, :2].tolist() == [[SOT, NO_TIMESTAMPS]] * 2
    both(twins, sound(1.7), return_timestamps=True, condition_on_prev_tokens=True)

    both(networks(0, is_multilingual=False), sound(1.0), is_multilingual=True, language="de")


def test_an_older_configuration_finds_the_start_of_earlier_text_among_the_suppressed():
    twins = networks(0, prev_sot_token_id=None, suppress_tokens=[1, 2, PREVIOUS, EOT + 1])

    both(twins, sound(2.5), return_timestamps=True, condition_on_prev_tokens=True, language="en")


def test_forced_tokens_give_way_to_task_and_language():
    twins = networks(0, forced_decoder_ids=[[1, None], [2, TRANSCRIBE]])
    found, _ = both(twins, sound(1.0), force_unique_generate_call=True)
    assert found[0, 2] == TRANSCRIBE

    found, _ = both(twins, sound(1.0), task="translate", force_unique_generate_call=True)
    assert found[0, 2] == TRANSLATE


@pytest.mark.parametrize("timestamps", [False, True])
def test_forced_tokens_say_that_there_are_no_timestamps_once_or_not_at_all(timestamps):
    forced = [[1, FR], [2, TRANSLATE], [3, NO_TIMESTAMPS]]
    found, _ = both(
        networks(0, forced_decoder_ids=forced), sound(1.0), return_timestamps=timestamps,
        force_unique_generate_call=True,
    )  # fmt: skip
    assert found[0].tolist().count(NO_TIMESTAMPS) == (not timestamps)


def test_another_window_length_is_only_a_warning(caplog):
    ours, _ = networks(0)

    assert_same(ours.generate(sound(1.0), num_segment_frames=60), ours.generate(sound(1.0)))
    assert "num_segment_frames" in caplog.text


def test_positions_at_which_hardly_any_token_looks_count_for_times_as_in_the_reference():
    """This network's attention is sharp: at many positions tokens differ by less than 1e-10."""
    lengths = (1.0, 1.0, 1.0)
    both(
        networks(0), sound(*lengths, seed=2), attention_mask=mask(*lengths), language="fr", return_token_timestamps=True
    )


def test_times_of_tokens_without_a_mask_are_warned_of(caplog):
    ours, _ = networks(0)
    with caplog.at_level(logging.WARNING):
        ours.generate(sound(1.0), return_token_timestamps=True, task="translate")

    assert "attention_mask" in caplog.text
    assert "translate" in caplog.text


@pytest.mark.parametrize("seed", range(6))
def test_rows_of_one_output_are_of_one_window_and_none_is_missing(seed):
    """Without timestamps nothing forbids their tokens, and a pair of them would make a second window of one row."""
    ours, _ = networks(0)
    found = ours.generate(
        sound(1.0, 1.0, seed=seed), attention_mask=mask(1.0, 1.0), return_dict_in_generate=True, task="translate"
    )
    assert len(found.sequences) == 2


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"forced_decoder_ids": [[1, FR], [2, TRANSLATE]]}, {"forced_decoder_ids": None}),
        ({"max_initial_timestamp_index": 0}, {"max_initial_timestamp_index": None, "return_timestamps": True}),
        ({"num_beams": 3}, {"num_beams": None, "language": "en"}),
    ],
)
def test_none_says_nothing_of_a_field_of_all_networks_and_switches_off_one_of_whisper_s_own(fields, arguments):
    both(networks(0, **fields), sound(1.0, 1.0), **arguments)
