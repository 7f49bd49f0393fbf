"""Processors, warpers and Whisper's own rules against those of transformers, on random scores and histories."""

import random
from types import SimpleNamespace

import pytest
import torch
from transformers.generation import logits_process as reference

from model.generation import constraints, processors, warpers

VOCABULARY, EOS, NO_TIMESTAMPS = 90, 40, 50
BEGIN = NO_TIMESTAMPS + 1


def histories(seed, rows=4, length=9):
    # Few different tokens, so that sequences repeat.
    return torch.randint(0, 6, (rows, length), generator=torch.Generator().manual_seed(seed))


def scores(seed, rows=4, size=VOCABULARY):
    return 3 * torch.randn(rows, size, generator=torch.Generator().manual_seed(seed + 1000))


def allowed(batch, tokens):
    return [batch, int(tokens[-1]), 11]


SAME = {
    "MinLengthLogitsProcessor": [(12, EOS), (9, EOS), (10, [EOS, 3])],
    "MinNewTokensLengthLogitsProcessor": [(3, 6, EOS), (3, 7, [EOS, 2])],
    "RepetitionPenaltyLogitsProcessor": [(1.7,), (0.6,)],
    "NoRepeatNGramLogitsProcessor": [(1,), (2,), (3,), (11,)],
    "NoBadWordsLogitsProcessor": [([[7], [1, 2], [2, 3, 4], [EOS]], EOS), ([[5, 5]], None)],
    "SequenceBiasLogitsProcessor": [
        ({(3,): 1.5, (1, 2): -2.0, (0, 1, 2): 4.0},),
        ({(3,): 1.5} | {(i, 3): 0.5 + i for i in range(6)},),
        ([[[3, 4], 2.5], [[6], -1.0]],),
    ],
    "PrefixConstrainedLogitsProcessor": [(allowed, 1), (allowed, 2)],
    "ForcedBOSTokenLogitsProcessor": [(7,)],
    "ForcedEOSTokenLogitsProcessor": [(10, EOS), (10, [EOS, 3]), (9, EOS)],
    "InfNanRemoveLogitsProcessor": [()],
    "ExponentialDecayLengthPenalty": [((2, 1.2), EOS, 3), ((7, 1.2), EOS, 3), ((0, 1.5), [EOS, 1], 3)],
    "LogitNormalization": [()],
    "SuppressTokensLogitsProcessor": [([1, 5, 89, 500, -1],)],
    "SuppressTokensAtBeginLogitsProcessor": [([1, 5], 9), ([1, 5], 8)],
    "TemperatureLogitsWarper": [(0.3,), (2.0,)],
    "TopKLogitsWarper": [(3,), (1,), (500,)],
    "TopPLogitsWarper": [(0.5,), (0.9,), (0.0,)],
    "TopHLogitsWarper": [(0.4,), (1.0,)],
    "MinPLogitsWarper": [(0.1,), (0.9,)],
    "TypicalLogitsWarper": [(0.3,), (0.9,)],
    "EpsilonLogitsWarper": [(0.02,), (0.9,)],
    "EtaLogitsWarper": [(0.05,), (0.9,)],
}
KEEPING = ["TopKLogitsWarper", "TopPLogitsWarper", "MinPLogitsWarper", "TypicalLogitsWarper", "EpsilonLogitsWarper",
           "EtaLogitsWarper"]  # fmt: skip


def ours(name):
    return next(getattr(module, name) for module in (constraints, processors, warpers) if hasattr(module, name))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "arguments"), [(name, case) for name, cases in SAME.items() for case in cases])
def test_each_processor_changes_scores_as_the_reference_s(name, arguments, seed):
    ids, given = histories(seed), scores(seed)
    if name == "InfNanRemoveLogitsProcessor":
        given[0, 3], given[1, 4], given[2, 5] = torch.nan, torch.inf, -torch.inf
    before = given.clone()

    found = ours(name)(*arguments)(ids, given)

    expected = getattr(reference, name)(*arguments)(ids, before.clone())
    assert torch.equal(found, expected)
    assert torch.equal(given, before) or name == "InfNanRemoveLogitsProcessor"  # nan is not equal to itself


@pytest.mark.parametrize("name", KEEPING)
def test_warpers_keep_as_many_tokens_as_beams_need(name):
    (argument, *_), given = SAME[name][0], scores(3)
    strict = {"TopKLogitsWarper": 1, "EpsilonLogitsWarper": 0.9, "EtaLogitsWarper": 0.9}.get(name, argument)
    strict = {"TopPLogitsWarper": 0.0, "MinPLogitsWarper": 1.0, "TypicalLogitsWarper": 0.001}.get(name, strict)

    found = ours(name)(strict, min_tokens_to_keep=4)(None, given)

    assert torch.equal(found, getattr(reference, name)(strict, min_tokens_to_keep=4)(None, given))
    assert ((found > -torch.inf).sum(dim=1) >= 4).all()


@pytest.mark.parametrize("name", ["ForcedBOSTokenLogitsProcessor", "NoRepeatNGramLogitsProcessor"])
def test_a_prompt_of_one_token_is_no_special_case(name):
    ids, given = histories(0, length=1), scores(0)

    assert torch.equal(ours(name)(2)(ids, given), getattr(reference, name)(2)(ids, given.clone()))


def test_a_sequence_as_long_as_the_text_may_be_is_not_completed_by_the_first_token():
    ids, given, bias = torch.full((2, 1), 2), scores(0, rows=2), {(2, 5): 4.0}

    found = constraints.SequenceBiasLogitsProcessor(bias)(ids, given)

    assert torch.equal(found, reference.SequenceBiasLogitsProcessor(bias)(ids, given.clone()))


@pytest.mark.parametrize("token", [VOCABULARY, VOCABULARY + 9])
def test_sequences_with_tokens_that_the_vocabulary_lacks_are_refused(token):
    for constraint in (
        constraints.SequenceBiasLogitsProcessor({(1, token): 1.0}),
        constraints.NoBadWordsLogitsProcessor([[token]]),
    ):
        with pytest.raises(ValueError, match=f"must have tokens below {VOCABULARY}, got {token}"):
            constraint(histories(0), scores(0))


def transcript(source):
    """Anything a decoder may have written so far, and some things it may not."""
    count = source.randrange(9)
    return [source.choice([source.randrange(EOS), EOS, BEGIN + source.randrange(39)]) for _ in range(count)]


@pytest.mark.parametrize("latest", [None, 0, 10, 500])
@pytest.mark.parametrize("weigh", [None, False])
@pytest.mark.parametrize("seed", range(12))
def test_timestamp_rules_equal_the_reference_s_on_random_histories(seed, weigh, latest):
    source = random.Random(seed)
    config = SimpleNamespace(
        no_timestamps_token_id=NO_TIMESTAMPS, eos_token_id=EOS, bos_token_id=EOS, max_initial_timestamp_index=latest
    )
    tested = processors.WhisperTimeStampLogitsProcessor(config, 3, weigh)
    expected = reference.WhisperTimeStampLogitsProcessor(config, 3, weigh)
    length = source.randrange(9)
    rows = [[*[41, 42, 43], *(transcript(source) + [0] * 9)[:length]] for _ in range(5)]
    ids, given = torch.tensor(rows), scores(seed, rows=5)

    assert torch.equal(tested(ids, given), expected(ids, given.clone()))

    for other in (2, 5):
        tested.set_begin_index(other)
        expected.set_begin_index(other)
        assert torch.equal(tested(ids, given), expected(ids, given.clone()))


def test_timestamp_rules_take_the_beginning_of_text_for_its_end_where_no_end_is_named():
    config = SimpleNamespace(no_timestamps_token_id=NO_TIMESTAMPS, eos_token_id=None, bos_token_id=EOS)
    ids, given = torch.tensor([[41, 42, 43, BEGIN + 3, 5, BEGIN + 9]]), scores(1, rows=1)

    found = processors.WhisperTimeStampLogitsProcessor(config, 3)(ids, given)

    assert torch.equal(found, reference.WhisperTimeStampLogitsProcessor(config, 3)(ids, given.clone()))


def test_text_before_the_start_says_nothing_about_timestamps():
    config = SimpleNamespace(no_timestamps_token_id=NO_TIMESTAMPS, eos_token_id=EOS, bos_token_id=EOS)
    ids, given = torch.tensor([[41, BEGIN + 3]]), scores(1, rows=1)

    found = processors.WhisperTimeStampLogitsProcessor(config, 5)(ids, given)

    assert torch.equal(found, reference.WhisperTimeStampLogitsProcessor(config, 5)(ids, given.clone()))


def test_timestamps_need_their_first_token_in_the_configuration():
    with pytest.raises(ValueError, match="no_timestamps_token_id in the generation configuration"):
        processors.WhisperTimeStampLogitsProcessor(SimpleNamespace(eos_token_id=EOS), 3)


def test_the_probability_of_silence_is_read_where_the_transcript_starts():
    detection = processors.WhisperNoSpeechDetection(no_speech_token=7, begin_index=3)
    assert detection.no_speech_prob == [0.0]
    # Two tokens of the past, then start, language and task.
    logits = torch.randn(2, 5, VOCABULARY, generator=torch.Generator().manual_seed(0))

    processors.read_prompt([detection, ours("TopKLogitsWarper")(3)], logits)

    torch.testing.assert_close(detection.no_speech_prob, logits[:, 2].softmax(dim=-1)[:, 7])
    given = scores(0)
    assert detection(histories(0), given) is given


def test_the_caller_s_processor_goes_in_place_of_ours_of_that_class():
    own = [constraints.MinLengthLogitsProcessor(3, EOS), constraints.LogitNormalization()]
    theirs = reference.MinLengthLogitsProcessor(9, EOS)

    def add_one(ids, given):
        return given + 1

    merged = processors.merged(own, [add_one, theirs])

    assert merged == [theirs, own[1], add_one]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("TemperatureLogitsWarper", (0.0,), "temperature must be a number above 0, got 0.0"),
        ("TemperatureLogitsWarper", ("a",), "temperature must be a number above 0, got 'a'"),
        ("TopKLogitsWarper", (0,), "top_k must be at least 1, got 0"),
        ("TopPLogitsWarper", (1.5,), r"top_p must be in 0..1, got 1.5"),
        ("TopHLogitsWarper", (0.0,), "top_h must be above 0"),
        ("MinPLogitsWarper", (-0.1,), "min_p must be in 0..1"),
        ("TypicalLogitsWarper", (1.0,), "typical_p must be between 0 and 1"),
        ("EpsilonLogitsWarper", (0.0,), "epsilon_cutoff must be between 0 and 1"),
        ("EtaLogitsWarper", (2,), "eta_cutoff must be between 0 and 1"),
        ("TopKLogitsWarper", (1, -torch.inf, 0), "min_tokens_to_keep must be at least 1"),
        ("RepetitionPenaltyLogitsProcessor", (-1.0,), "repetition_penalty must be above 0"),
        ("NoRepeatNGramLogitsProcessor", (0,), "no_repeat_ngram_size must be at least 1"),
        ("NoBadWordsLogitsProcessor", ([],), "bad_words_ids must be a list of at least one"),
        ("NoBadWordsLogitsProcessor", ([3],), "bad_words_ids must have lists of token ids, got 3"),
        ("SequenceBiasLogitsProcessor", ({},), "sequence_bias must hold at least one sequence"),
        ("MinLengthLogitsProcessor", (3, [1.5]), "a token id must be a whole number, got 1.5"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        ours(name)(*arguments)


def test_a_prefix_function_that_allows_nothing_is_refused():
    constraint = constraints.PrefixConstrainedLogitsProcessor(lambda _batch, _tokens: [], 2)
    with pytest.raises(ValueError, match="at least one token, got none for batch 0"):
        constraint(histories(0), scores(0))
