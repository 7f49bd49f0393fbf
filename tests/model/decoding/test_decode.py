from functools import cache

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoding.decode import BatchDecoder
from model.decoding.rows import DecodeRow
from model.rules import LogitRules
from tests.model.small_whisper import small_checkpoint, small_tokenizer

TOKENIZER = small_tokenizer()
SOT = TOKENIZER.sot_sequence("en")
STAMP = TOKENIZER.timestamp_begin


@cache
def decoder(heads: tuple[tuple[int, int], ...] = ()) -> BatchDecoder:
    checkpoint = small_checkpoint()
    generation = checkpoint.generation
    rules = LogitRules(
        vocab_size=checkpoint.config.vocab_size,
        eot=TOKENIZER.eot,
        no_timestamps=TOKENIZER.notimestamps,
        suppress=generation.suppress_tokens or (),
        begin_suppress=generation.begin_suppress_tokens or (),
        max_initial_timestamp=generation.max_initial_timestamp_index,
    )
    return BatchDecoder(checkpoint.model, rules, nospeech=TOKENIZER.nospeech, alignment_heads=heads)


@cache
def audio(rows: int = 6, positions: int = 100) -> torch.Tensor:
    """Encoder output of loud random features: rows that differ a lot."""
    features = 2 * torch.randn(rows, 80, 2 * positions, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return small_checkpoint().model.model.encoder.encode(features).clone()


def row(**changes) -> DecodeRow:
    return DecodeRow(**{"head": SOT, "sot": 0, "limit": 40} | changes)


@cache
def greedy(which: int, prompt: tuple[int, ...] = (), prefix: tuple[int, ...] = (), limit: int = 40):
    """One row alone, without draft."""
    return decoder().decode(audio()[which : which + 1], None, [prompted(prompt, prefix=prefix, limit=limit)])[0]


def prompted(prompt: tuple[int, ...], **changes) -> DecodeRow:
    head = (TOKENIZER.startofprev, *prompt, *SOT) if prompt else SOT
    return row(head=head, sot=len(head) - len(SOT), **changes)


def reference() -> transformers.WhisperForConditionalGeneration:
    """The same weights in the reference."""
    checkpoint = small_checkpoint()
    values = checkpoint.config.to_dict() | {"begin_suppress_tokens": None, "attn_implementation": "eager"}
    config = transformers.WhisperConfig(**values)
    model = transformers.WhisperForConditionalGeneration(config).eval()
    missing, unexpected = model.load_state_dict(checkpoint.model.state_dict(), strict=False)
    assert set(missing) <= {"proj_out.weight"}
    assert not unexpected
    model.tie_weights()
    return model


@pytest.mark.filterwarnings("ignore")
def test_greedy_tokens_equal_the_reference_s_generation_with_timestamps():
    checkpoint, model = small_checkpoint(), reference()
    own = checkpoint.generation.to_dict()
    names = {"lang_to_id", "task_to_id", "suppress_tokens", "begin_suppress_tokens", "is_multilingual"}
    settings_ = {name: own[name] for name in names} | {"max_initial_timestamp_index": 50}
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=TOKENIZER.sot,
        eos_token_id=TOKENIZER.eot,
        pad_token_id=TOKENIZER.eot,
        bos_token_id=TOKENIZER.eot,
        no_timestamps_token_id=TOKENIZER.notimestamps,
        prev_sot_token_id=TOKENIZER.startofprev,
        max_length=448,
        return_timestamps=True,
        **settings_,
    )
    features = 2 * torch.randn(5, 80, 3000, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        encoded = checkpoint.model.model.encoder.encode(features)
    found = decoder().decode(encoded, None, [row(limit=60)] * 5)
    expected = model.generate(
        features,
        language="en",
        task="transcribe",
        return_timestamps=True,
        max_new_tokens=60,
        do_sample=False,
        force_unique_generate_call=True,  # otherwise it moves a window through the features, timestamp by timestamp
    )
    assert len({token for out in found for token in out.tokens}) > 20, "tokens must vary to prove anything"
    for out, line in zip(found, expected.tolist(), strict=True):
        assert tuple(line[: len(SOT)]) == SOT
        text = line[len(SOT) :]
        assert out.tokens == text[: text.index(TOKENIZER.eot) if TOKENIZER.eot in text else 60]


def damaged(tokens: list[int], kind: str, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(TOKENIZER.eot, (max(len(tokens), 8),), generator=generator).tolist()
    at = int(torch.randint(max(len(tokens), 1), (), generator=generator))
    return tuple(
        {
            "right": tokens,
            "replaced": [*tokens[:at], noise[0], *tokens[at + 1 :]],
            "missing": [*tokens[:at], *tokens[at + 1 :]],
            "inserted": [*tokens[:at], noise[0], *tokens[at:]],
            "shifted": [min(token + 1, STAMP + 1500) if token >= STAMP else token for token in tokens],
            "too long": tokens + 6 * noise,
            "noise": noise,
        }[kind]
    )


KINDS = ["right", "replaced", "missing", "inserted", "shifted", "too long", "noise"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(KINDS), st.integers(0, 999)), min_size=1, max_size=4))
def test_a_draft_never_changes_what_is_decoded(cases):
    expected = [greedy(which) for which, _, _ in cases]
    rows = [row(draft=damaged(e.tokens, kind, seed)) for e, (_, kind, seed) in zip(expected, cases, strict=True)]
    found = decoder().decode(audio()[[which for which, _, _ in cases]], None, rows)
    for out, right in zip(found, expected, strict=True):
        assert out.tokens == right.tokens
        assert out.ended == right.ended
        assert out.log_probabilities == pytest.approx(right.log_probabilities, abs=1e-3)
        assert out.no_speech == pytest.approx(right.no_speech, rel=1e-3)


def test_a_right_draft_takes_one_pass():
    right = next(out for out in map(greedy, range(6)) if out.ended)
    which = next(i for i in range(6) if greedy(i) is right)
    (out,) = decoder().decode(audio()[which : which + 1], None, [row(draft=tuple(right.tokens))])
    assert (out.passes, out.accepted, out.drafted) == (1, len(right.tokens), len(right.tokens))
    assert right.passes == len(right.tokens) + 1


def test_a_draft_goes_on_after_a_wrong_token():
    right = max(map(greedy, range(6)), key=lambda out: len(out.tokens))
    which = next(i for i in range(6) if greedy(i) is right)
    wrong = list(right.tokens)
    wrong[10] = (wrong[10] + 1) % TOKENIZER.eot
    (out,) = decoder().decode(audio()[which : which + 1], None, [row(draft=tuple(wrong))])
    assert out.tokens == right.tokens
    # With random weights what is chosen after a wrong token is as good as random, and is believed all the same.
    assert out.passes <= 8 < right.passes // 4


PROMPTS = [(), (1, 2, 3), tuple(range(10, 60))]
PREFIXES = [(), (STAMP, 5, 6), (STAMP + 3, 70, STAMP + 20, STAMP + 25, 8)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(PROMPTS), st.sampled_from(PREFIXES), st.booleans(), st.integers(5, 40)
        ),
        min_size=2,
        max_size=7,
    )
)
def test_a_row_is_the_same_in_any_company(cases):
    """Other prompts, prefixes, drafts, ends and limits beside it change nothing."""
    expected = [greedy(which, prompt, prefix, limit) for which, prompt, prefix, _, limit in cases]
    rows = [
        prompted(prompt, prefix=prefix, limit=limit, draft=tuple(right.tokens) if drafted else ())
        for right, (_, prompt, prefix, drafted, limit) in zip(expected, cases, strict=True)
    ]
    found = decoder().decode(audio()[[case[0] for case in cases]], None, rows)
    assert [out.tokens for out in found] == [out.tokens for out in expected]


def test_what_pads_short_audio_is_never_heard():
    lengths = [40, 100, 64]
    padded = audio(3).clone()
    for at, length in enumerate(lengths):
        padded[at, length:] = 1e4
    heads = ((0, 0), (1, 1))
    found = decoder(heads).decode(padded, torch.tensor(lengths), [row()] * 3)
    for at, length in enumerate(lengths):
        (alone,) = decoder(heads).decode(audio(3)[at : at + 1, :length], None, [row()])
        assert found[at].tokens == alone.tokens
        assert found[at].no_speech == pytest.approx(alone.no_speech, rel=1e-3)
        torch.testing.assert_close(found[at].attention[..., :length], alone.attention, atol=1e-4, rtol=1e-3)
        assert not found[at].attention[..., length:].any()


@pytest.mark.parametrize("drafted", [False, True])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_attention_is_that_of_the_query_that_chose_each_token(prefix, drafted):
    heads = ((1, 0), (0, 1))
    right = greedy(2, (1, 2, 3), prefix)
    draft = damaged(right.tokens, "replaced", 5) if drafted else ()
    (out,) = decoder(heads).decode(audio()[2:3], None, [prompted((1, 2, 3), prefix=prefix, draft=draft)])
    head = prompted((1, 2, 3)).head
    tokens = torch.tensor([[*head, *prefix, *out.tokens]])
    network = small_checkpoint().model.model.decoder
    with torch.inference_mode():
        cache_ = network.new_cache(audio()[2:3])
        _, attention = network.extend(tokens, torch.arange(tokens.shape[1])[None], cache_, heads)
    rows = len(prefix) + len(out.tokens) + int(out.ended)
    assert out.attention.shape[1] == rows
    expected = attention[0, :, len(head) - 1 : len(head) - 1 + rows]
    torch.testing.assert_close(out.attention, expected, atol=1e-4, rtol=1e-3)


def test_a_text_that_never_ends_is_cut_at_its_limit():
    for limit in (1, 2, 17):
        for out in decoder().decode(audio(), None, [row(limit=limit)] * 6):
            assert len(out.tokens) == limit or out.ended
            assert len(out.tokens) <= limit


def test_the_average_counts_the_end_of_text():
    out = next(out for out in map(greedy, range(6)) if out.ended)
    assert len(out.log_probabilities) == len(out.tokens) + 1
    assert out.average_log_probability == pytest.approx(sum(out.log_probabilities) / (len(out.tokens) + 1))


def test_samples_depend_on_the_row_s_seed_and_on_no_neighbour():
    batch = decoder().decode(audio(), None, [row(seed=i % 2) for i in range(6)], temperature=0.8)
    again = decoder().decode(audio()[3:4], None, [row(seed=1)], temperature=0.8)[0]
    other = decoder().decode(audio()[3:4], None, [row(seed=2)], temperature=0.8)[0]
    assert batch[3].tokens == again.tokens
    assert other.tokens != again.tokens


def test_a_cold_sample_is_the_greedy_choice():
    for which in range(3):
        (out,) = decoder().decode(audio()[which : which + 1], None, [row()], temperature=1e-4)
        assert out.tokens == greedy(which).tokens


def test_languages_are_judged_by_the_logits_of_their_tokens():
    tokens = list(TOKENIZER.languages.values())
    found = decoder().detect(audio(), None, TOKENIZER.sot, tokens)
    network = small_checkpoint().model
    with torch.inference_mode():
        cache_ = network.model.decoder.new_cache(audio())
        start = torch.full((6, 1), TOKENIZER.sot)
        hidden, _ = network.model.decoder.extend(start, torch.zeros_like(start), cache_)
        logits = network.logits(hidden[:, 0])
    torch.testing.assert_close(torch.tensor(found), logits[:, tokens])


def test_a_phrase_that_comes_again_and_again_is_stopped_early():
    """Longer than it can have been said; what is not repeated goes on to the limit."""
    rows = [row(limit=40, longest_run=8), row(limit=40)]
    same = audio()[[0, 0]]
    silent = decoder()
    never = silent._rules._never
    word = TOKENIZER.encode("q")[0]
    try:  # only one text token is left
        silent._rules._never = torch.tensor([t for t in range(STAMP) if t != word])
        stopped, free = silent.decode(same, None, rows)
    finally:
        silent._rules._never = never
    assert stopped.stuck
    assert not free.stuck
    assert len(free.tokens) == 40
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]
    assert stopped.tokens[-9:] == [word] * 9
    assert stopped.tokens[-10] != word
