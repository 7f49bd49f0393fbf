"""Greedy search, sampling and beams against the reference's on the same weights."""

import pytest
import torch
from transformers import GenerationMixin
from transformers.generation import logits_process, stopping_criteria

from model.generation.processors import WhisperNoSpeechDetection
from model.generation.search import search
from model.generation.stopping import MaxTimeCriteria, StopStringCriteria
from model.generation_config import GenerationConfig
from tests.model.generation.twins import EOS, PAD, audio, both, encoded, prompt, twins

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_tokens_are_the_reference_s(seed):
    found, expected = both({"max_new_tokens": 24}, seed=seed)

    assert found.tolist() == expected.tolist()


def test_rows_that_end_before_others_are_padded():
    ends = {EOS, 10, 16, 31}
    found, expected = both({"max_new_tokens": 30, "eos_token_id": list(ends)}, seed=1)

    assert found.tolist() == expected.tolist()
    texts = [row[3:] for row in found.tolist()]
    lengths = [next((i + 1 for i, token in enumerate(text) if token in ends), len(text)) for text in texts]
    assert min(lengths) < max(lengths) == len(texts[0])
    assert all(set(text[length:]) <= {PAD} for text, length in zip(texts, lengths, strict=True))


def test_padding_is_the_end_of_text_if_there_is_no_other():
    settings = {"max_new_tokens": 30, "eos_token_id": [10, 16, 31], "pad_token_id": None}
    found, expected = both(settings, seed=1)

    assert found.tolist() == expected.tolist()
    assert 10 in found[:, -1]


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 0}, {"top_k": 3}, {"temperature": 0.5}, {"temperature": 1.7, "top_p": 0.8}, {"min_p": 0.1},
        {"typical_p": 0.7}, {"epsilon_cutoff": 0.01}, {"eta_cutoff": 0.02}, {"top_h": 0.5},
        {"num_return_sequences": 3}, {"repetition_penalty": 1.5, "renormalize_logits": True},
        {"remove_invalid_values": True, "sequence_bias": {(16,): float("inf")}},
    ],
)  # fmt: skip
def test_a_seed_draws_the_reference_s_tokens(settings):
    found, expected = both({"max_new_tokens": 16, "do_sample": True, **settings}, seed=2, draw=5)

    assert found.tolist() == expected.tolist()


BEAMS = {"num_beams": 3, "max_new_tokens": 20, "return_dict_in_generate": True, "output_scores": True}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("length_penalty", [1.0, -1.0, 2.0])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("eos", [EOS, [EOS, 16, 31, 53]])
def test_beams_are_the_reference_s(seed, length_penalty, early_stopping, eos):
    settings = {**BEAMS, "length_penalty": length_penalty, "early_stopping": early_stopping, "eos_token_id": eos}

    found, expected = both({**settings, "num_return_sequences": 2}, seed=seed)

    assert found.sequences.tolist() == expected.sequences.tolist()
    torch.testing.assert_close(found.sequences_scores, expected.sequences_scores)
    assert found.beam_indices.tolist() == expected.beam_indices.tolist()
    assert len(found.scores) == len(expected.scores)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_draws_the_reference_s_beams(seed):
    settings = {
        **BEAMS,
        "do_sample": True,
        "temperature": 1.5,
        "num_return_sequences": 3,
        "eos_token_id": [EOS, 16, 31],
    }

    found, expected = both(settings, seed=seed, draw=seed)

    assert found.sequences.tolist() == expected.sequences.tolist()
    torch.testing.assert_close(found.sequences_scores, expected.sequences_scores)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_beams_that_are_drawn_enough_is_kept_to_go_on_if_every_end_is_drawn(seed):
    settings = {**BEAMS, "do_sample": True, "top_k": 1, "eos_token_id": list(range(30)), "num_return_sequences": 3}

    found, expected = both(settings, seed=seed, draw=2)

    assert found.sequences.tolist() == expected.sequences.tolist()


def test_beams_need_no_end_of_text():
    ours, _ = twins(0)
    endless = GenerationConfig(num_beams=3, max_new_tokens=6)

    assert search(ours, prompt(2), encoded(ours, audio(2)), endless).shape == (2, 9)


OUTPUTS = {
    "max_new_tokens": 5, "return_dict_in_generate": True, "output_scores": True, "output_logits": True,
    "output_attentions": True, "output_hidden_states": True,
}  # fmt: skip


@pytest.mark.parametrize("mode", [{}, {"do_sample": True, "num_return_sequences": 2}, {"num_beams": 3}])
@pytest.mark.parametrize("use_cache", [True, False])
def test_every_output_is_the_reference_s(mode, use_cache):
    found, expected = both({**OUTPUTS, **mode, "use_cache": use_cache}, seed=3)

    assert type(found).__name__ == type(expected).__name__
    assert list(found) == list(expected)
    for name in set(found) - {"past_key_values"}:
        assert_same(found[name], expected[name])
    if use_cache:
        assert found.past_key_values.get_seq_length() == expected.past_key_values.get_seq_length()


def assert_same(found, expected):
    """Compare tuples of tuples of tensors."""
    if isinstance(expected, torch.Tensor):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, check_dtype=False)
    else:
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)


def test_only_what_is_asked_for_is_returned():
    found, expected = both({"max_new_tokens": 4, "return_dict_in_generate": True, "num_beams": 2}, seed=0)

    assert list(found) == list(expected)
    assert found.sequences_scores is None


CONSTRAINTS = [
    {"min_new_tokens": 12, "eos_token_id": [EOS, 16, 31]}, {"min_length": 9, "eos_token_id": [EOS, 16, 31]},
    {"no_repeat_ngram_size": 2}, {"repetition_penalty": 1.4}, {"bad_words_ids": [[16], [31, 31], [53, 11]]},
    {"forced_eos_token_id": EOS}, {"suppress_tokens": [16, 25]}, {"begin_suppress_tokens": [16, 31, 53, 25]},
    {"sequence_bias": {(16,): -5.0, (31, 53): 9.0}}, {"exponential_decay_length_penalty": (3, 1.3)},
    {"remove_invalid_values": True}, {"renormalize_logits": True},
]  # fmt: skip


@pytest.mark.parametrize("mode", [{}, {"num_beams": 3}])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_constraints_act_as_in_the_reference(settings, mode):
    found, expected = both({"max_new_tokens": 16, **settings, **mode}, seed=1)

    assert found.tolist() == expected.tolist()


def test_a_forced_first_token_is_not_the_first_that_is_chosen():
    settings = {"forced_bos_token_id": 7, "begin_suppress_tokens": list(range(30)), "max_new_tokens": 8}

    found, expected = both(settings, seed=1, ids=prompt(3)[:, :1])

    assert found.tolist() == expected.tolist()
    assert {(row[1], row[2] >= 30) for row in found.tolist()} == {(7, True)}


NOTHING = [
    {"num_beam_groups": 1, "diversity_penalty": 0.0, "guidance_scale": 1.0, "penalty_alpha": 0.0},
    {"token_healing": False, "low_memory": False, "cache_implementation": "dynamic_full"},
    {"cache_implementation": "hybrid"}, {"cache_implementation": "sliding_window"},
]  # fmt: skip
"""What older files say where they ask for nothing."""


@pytest.mark.parametrize("fields", NOTHING, ids=str)
def test_a_field_that_asks_for_nothing_is_taken(fields):
    ours, _ = twins(1)
    outputs, settings = encoded(ours, audio(2, 1)), {"max_new_tokens": 4, "eos_token_id": EOS, "pad_token_id": PAD}
    plain = search(ours, prompt(2), outputs, GenerationConfig(**settings))

    assert search(ours, prompt(2), outputs, GenerationConfig(**settings, **fields)).tolist() == plain.tolist()


def test_a_search_leaves_the_configuration_as_it_is():
    ours, _ = twins(1)
    config = GenerationConfig(eos_token_id=EOS, min_new_tokens=2)
    before = config.to_dict()
    search(ours, prompt(1), encoded(ours, audio(1, 1)), config)

    assert config.to_dict() == before


@pytest.mark.parametrize("mode", [{}, {"num_beams": 2}])
def test_a_function_may_say_what_follows(mode):
    def allowed(batch, tokens):
        return [batch + 20, int(tokens[-1]) // 2, 30, 31]

    found, expected = both({"max_new_tokens": 12, **mode}, seed=1, prefix_allowed_tokens_fn=allowed)

    assert found.tolist() == expected.tolist()


def test_processors_and_criteria_of_the_caller_and_of_the_reference_work():
    def upward(ids, scores):
        return scores + 0.1 * torch.arange(scores.shape[1])

    def at_ten(ids, _scores):
        return ids.shape[1] >= 10

    for processor in ([upward], logits_process.LogitsProcessorList([logits_process.TopKLogitsWarper(2), upward])):
        found, expected = both({"max_new_tokens": 12}, seed=2, processors=processor)
        assert found.tolist() == expected.tolist()
    for stop in (at_ten, stopping_criteria.MaxLengthCriteria(8), stopping_criteria.EosTokenCriteria([25, 34])):
        criteria = stopping_criteria.StoppingCriteriaList([stop])
        found, expected = both({"max_new_tokens": 12}, seed=2, stopping=criteria)
        assert found.tolist() == expected.tolist()
    assert found.shape[1] == 4


def test_criteria_see_every_score_so_far():
    seen = []

    def note(ids, scores):
        seen.append((ids.shape[1], len(scores)))
        return False

    both({"max_new_tokens": 3, "return_dict_in_generate": True, "output_scores": True}, stopping=[note])

    assert seen[:3] == [(4, 1), (5, 2), (6, 3)] == seen[3:]


@pytest.mark.parametrize("mode", [{}, {"num_beams": 3}, {"use_cache": False}])
def test_padding_on_the_left_is_not_read(mode):
    ids = torch.tensor([[PAD, PAD, 50, 3], [50, 9, 8, 7], [PAD, 50, 4, 4]])

    found, expected = both({"max_new_tokens": 12, **mode}, ids=ids, decoder_attention_mask=ids != PAD)

    assert found.tolist() == expected.tolist()
    unmasked, _ = both({"max_new_tokens": 12, **mode}, ids=ids)
    assert unmasked.tolist() != found.tolist()


@pytest.mark.parametrize("mode", [{}, {"num_beams": 2}, {"do_sample": True}])
@pytest.mark.parametrize("settings", [{"use_cache": False}, {"cache_implementation": "static"}])
def test_the_cache_changes_no_token(settings, mode):
    found, expected = both({"max_new_tokens": 12, **mode, **settings}, seed=3)

    assert found.tolist() == expected.tolist()
    assert found.tolist() == both({"max_new_tokens": 12, **mode}, seed=3)[0].tolist()


def test_a_search_goes_on_from_an_earlier_one_s_cache():
    ours, _ = twins(1)
    outputs, ids = encoded(ours, audio(2, 1)), prompt(2)
    settings = {"eos_token_id": EOS, "return_dict_in_generate": True}
    first = search(ours, ids, outputs, GenerationConfig(max_new_tokens=5, **settings))

    config = GenerationConfig(max_new_tokens=7, **settings)
    second = search(ours, first.sequences, outputs, config, past_key_values=first.past_key_values)

    whole = search(ours, ids, outputs, GenerationConfig(max_new_tokens=12, **settings))
    assert second.sequences.tolist() == whole.sequences.tolist()


def test_lengths_are_those_of_the_reference():
    for settings in ({}, {"max_length": 9}, {"max_length": 9, "max_new_tokens": 12}):
        found, expected = both(settings, seed=0)
        assert found.tolist() == expected.tolist()


def test_a_streamer_gets_the_prompt_and_each_token():
    class Streamer:
        def __init__(self):
            self.got = []

        def put(self, tokens):
            self.got.append(tokens.tolist())

        def end(self):
            self.got.append("end")

    ours, theirs = twins(0)
    features, settings = audio(1), {"max_new_tokens": 3, "eos_token_id": EOS, "pad_token_id": PAD}
    found, expected = Streamer(), Streamer()

    search(ours, prompt(1), encoded(ours, features), GenerationConfig(**settings), streamer=found)
    GenerationMixin.generate(theirs, features, decoder_input_ids=prompt(1), streamer=expected, **settings)

    assert found.got == expected.got
    assert len(found.got) == 5


def test_time_ends_a_search():
    ours, _ = twins(0)
    outputs = encoded(ours, audio(1))

    found = search(ours, prompt(1), outputs, GenerationConfig(max_new_tokens=40, eos_token_id=EOS, max_time=0.0))
    late = MaxTimeCriteria(5.0, initial_timestamp=0.0)

    assert found.shape[1] == 4
    assert late(found, None) is True
    assert MaxTimeCriteria(500.0)(found, None) is False


class Letters:
    """A tokenizer whose tokens are pairs of letters."""

    def decode(self, tokens):
        return "".join(chr(97 + token % 5) + chr(97 + token % 7) for token in tokens)


def test_texts_end_a_row():
    ours, _ = twins(0)
    outputs, letters = encoded(ours, audio(2)), Letters()
    free = search(ours, prompt(2), outputs, GenerationConfig(max_new_tokens=20, eos_token_id=EOS, pad_token_id=PAD))
    stop = letters.decode(free[0, 8:11].tolist())[1:4]

    config = GenerationConfig(max_new_tokens=20, eos_token_id=EOS, pad_token_id=PAD, stop_strings=stop)
    found = search(ours, prompt(1), encoded(ours, audio(2)[:1]), config, tokenizer=letters)

    text = letters.decode(free[0, 3:].tolist())
    assert stop in letters.decode(found[0].tolist())
    assert stop not in letters.decode(found[0, :-1].tolist())
    assert text.startswith(letters.decode(found[0, 3:].tolist()))


@pytest.mark.parametrize(
    ("tokens", "ends"), [([0, 1], True), ([1, 0], False), ([0, 1, 2], True), ([3, 1, 2], False)], ids=str
)
def test_only_a_text_that_the_newest_token_completes_ends_a_row(tokens, ends):
    criterion = StopStringCriteria(Letters(), ["bb", "aabbcc"])

    assert criterion(torch.tensor([tokens]), None).tolist() == [ends]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 3}, "decoder_input_ids must be shorter than max_length, 3, got 3 tokens"),
        ({"stop_strings": "a"}, "stop_strings need the tokenizer"),
        ({"guidance_scale": 2.0}, "guidance_scale cannot be used, got 2.0"),
        ({"num_beam_groups": 2, "num_beams": 2}, "num_beam_groups cannot be used, got 2"),
        ({"cache_implementation": "quantized"}, "cache_implementation must be 'dynamic' or 'static', got 'quantized'"),
        ({"max_new_tokens": 100}, "64 positions"),
        ({"num_beams": 2, "prompt_lookup_num_tokens": 3}, "assisted decoding needs num_beams=1, got 2"),
        ({"eos_token_id": None, "max_new_tokens": 3, "temperature": -1.0, "do_sample": True}, "temperature must be"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(settings, message):
    ours, _ = twins(0)
    with pytest.raises(ValueError, match=message):
        search(ours, prompt(3), encoded(ours, audio()), GenerationConfig(**{"eos_token_id": EOS, **settings}))


def test_a_streamer_is_refused_with_beams():
    ours, _ = twins(0)
    with pytest.raises(ValueError, match="a streamer needs num_beams=1"):
        search(ours, prompt(3), encoded(ours, audio()), GenerationConfig(num_beams=2), streamer=object())


@pytest.mark.filterwarnings("default::UserWarning")
def test_fields_about_the_tokens_of_the_input_are_ignored_with_a_warning():
    ours, _ = twins(0)
    config = GenerationConfig(max_new_tokens=2, encoder_repetition_penalty=1.5)
    with pytest.warns(UserWarning, match="encoder_repetition_penalty is ignored"):
        search(ours, prompt(1), encoded(ours, audio(1)), config)


@pytest.mark.parametrize("mode", [{}, {"num_beams": 2}, {"do_sample": True, "num_return_sequences": 2}])
def test_the_probability_of_silence_is_the_reference_s(mode):
    ours, theirs = twins(2)
    # Two tokens of the past, of which the first row has one only; the transcript starts at the third.
    ids = torch.tensor([[PAD, 9, 50, 3, 7], [8, 9, 50, 4, 7]])
    features, settings = audio(2, 2), {"max_new_tokens": 2, "eos_token_id": EOS, "pad_token_id": PAD, **mode}
    detection = WhisperNoSpeechDetection(no_speech_token=30, begin_index=3)
    expected = logits_process.WhisperNoSpeechDetection(no_speech_token=30, begin_index=3)
    expected.set_model(theirs)
    for each in (detection, expected):
        each.set_begin_index(5)
    masks = {"decoder_attention_mask": ids != PAD}
    expected.set_inputs({"inputs": features, "decoder_input_ids": ids, "input_ids": ids, **masks})

    search(ours, ids, encoded(ours, features), GenerationConfig(**settings), processors=[detection], **masks)
    GenerationMixin.generate(theirs, features, decoder_input_ids=ids, logits_processor=[expected], **settings, **masks)

    torch.testing.assert_close(detection.no_speech_prob, expected.no_speech_prob)


def test_audio_and_text_must_be_of_one_batch():
    ours, _ = twins(0)
    with pytest.raises(ValueError, match="a row for each of the 3 decoder_input_ids, got 2"):
        search(ours, prompt(3), encoded(ours, audio(2)), GenerationConfig(max_new_tokens=2, eos_token_id=EOS))
