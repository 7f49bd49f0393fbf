import random
from types import SimpleNamespace

import pytest
import torch
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

from model.rules import LogitRules, Memory, largest

EOT, NO_TIMESTAMPS, STAMPS = 40, 50, 30
BEGIN = NO_TIMESTAMPS + 1
VOCABULARY = BEGIN + STAMPS
SUPPRESS, BEGIN_SUPPRESS = [-1, 0, 3, 7, 41, 45, VOCABULARY], [-1, 5, EOT, BEGIN + 2, VOCABULARY]
"""With what is no token: some checkpoints have -1 for none."""


def rules(latest_first: int | None = 10) -> LogitRules:
    return LogitRules(
        vocab_size=VOCABULARY,
        eot=EOT,
        no_timestamps=NO_TIMESTAMPS,
        suppress=SUPPRESS,
        begin_suppress=BEGIN_SUPPRESS,
        max_initial_timestamp=latest_first,
    )


def reference(decoded: list[int], logits: torch.Tensor, latest_first: int | None = 10) -> torch.Tensor:
    """What transformers does after a start sequence of three tokens."""
    ids = torch.tensor([[41, 42, 43, *decoded]])
    config = SimpleNamespace(
        no_timestamps_token_id=NO_TIMESTAMPS,
        eos_token_id=EOT,
        bos_token_id=EOT,
        max_initial_timestamp_index=latest_first,
    )
    scores = SuppressTokensAtBeginLogitsProcessor(BEGIN_SUPPRESS, 3)(ids, logits[None].clone())
    scores = SuppressTokensLogitsProcessor(SUPPRESS)(ids, scores)
    return WhisperTimeStampLogitsProcessor(config, begin_index=3)(ids, scores)[0]


def random_transcript(source: random.Random) -> list[int]:
    """Anything a decoder may have written so far, and some things it may not."""
    count = source.randrange(9)
    return [source.choice([source.randrange(EOT), BEGIN + source.randrange(STAMPS)]) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("latest_first", [10, None])
def test_all_rules_together_equal_the_reference(seed, latest_first):
    source = random.Random(seed)
    transcripts = [random_transcript(source) for _ in range(8)]
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(len(transcripts), VOCABULARY, generator=generator)
    expected = torch.stack([reference(t, row, latest_first) for t, row in zip(transcripts, logits, strict=True)])
    tested = rules(latest_first)
    limits = [tested.limits(t, len(t))[0] for t in transcripts]
    assert torch.equal(tested.apply(logits.clone(), limits), expected)


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_the_best_of_what_is_allowed_with_its_probability(seed):
    source = random.Random(seed)
    transcripts = [random_transcript(source) for _ in range(8)]
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(len(transcripts), VOCABULARY, generator=generator)
    tested = rules()
    limits = [tested.limits(t, len(t))[0] for t in transcripts]
    allowed = tested.apply(logits.clone(), limits)
    token, log_probability = tested.choose(logits.clone(), limits)
    assert token.tolist() == allowed.argmax(dim=1).tolist()
    expected = allowed.log_softmax(dim=1).gather(1, token[:, None])[:, 0]
    torch.testing.assert_close(log_probability, expected)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("latest_first", [10, None])
def test_what_the_device_remembers_leads_to_the_same_choices_as_the_host_s_limits(seed, latest_first):
    """Token by token over transcripts that a decoder may write, and some that it may not."""
    source, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    tested = rules(latest_first)
    transcripts = [random_transcript(source) or [BEGIN + 3] for _ in range(8)]
    memory = Memory(*torch.tensor([tested.remember(t) for t in transcripts]).unbind(dim=1))
    for _ in range(12):
        logits = 4 * torch.randn(len(transcripts), VOCABULARY, generator=generator)
        token, log_probability = tested.choose_next(logits.clone(), memory)
        expected = tested.choose(logits, [tested.limits(t, len(t))[0] for t in transcripts])
        assert token.tolist() == expected[0].tolist()
        torch.testing.assert_close(log_probability, expected[1])
        written = torch.tensor([source.choice([int(t), source.randrange(VOCABULARY)]) for t in token])
        memory = tested.follow(memory, written)
        for transcript, new in zip(transcripts, written.tolist(), strict=True):
            transcript.append(new)
        assert torch.stack([*memory], dim=1).tolist() == [list(tested.remember(t)) for t in transcripts]


@pytest.mark.parametrize("seed", range(10))
def test_every_position_of_a_draft_is_judged_in_its_own_context(seed):
    source = random.Random(seed)
    written = random_transcript(source)
    tested = rules()
    alone = [tested.limits(written[:n], n)[0] for n in range(len(written) + 1)]
    for start in range(len(written) + 1):
        assert tested.limits(written, start) == alone[start:]


def test_a_forced_prefix_counts_as_decoded():
    """After it no rule of the first token holds; a timestamp may not go back before it."""
    tested = rules()
    (limit,) = tested.limits([BEGIN + 20, 1, 2], 3)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, EOT] = 5.0
    allowed = tested.apply(logits, [limit])[0]
    assert allowed.argmax() == EOT
    assert torch.isinf(allowed[BEGIN : BEGIN + 21]).all()


def test_likely_timestamps_together_beat_a_likelier_text_token():
    tested = rules()
    logits = torch.full((1, VOCABULARY), -50.0)
    logits[0, 1] = 1.0
    logits[0, BEGIN + 5 : BEGIN + 15] = 0.0
    token, _ = tested.choose(logits, tested.limits([BEGIN, 2], 2))
    assert token.item() == BEGIN + 5


@pytest.mark.parametrize("width", [1, 255, 256, 257, 512, 51_865])
def test_the_largest_value_and_its_first_place_are_those_that_torch_finds(width):
    dice = torch.Generator().manual_seed(width)
    values = torch.randint(0, 40, (9, width), generator=dice).float()  # with many that are equal
    values[0], values[1, width // 2 :], values[2, -1] = -torch.inf, -torch.inf, 41.0
    value, place = largest(values)
    expected = values.max(dim=1)
    assert torch.equal(value, expected.values)
    assert torch.equal(place, expected.indices)
