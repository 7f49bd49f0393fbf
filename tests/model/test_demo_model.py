"""The embedded demo model: its vocabulary, its files, and that other people's programs hear the same with it."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "model" / "demo"
RECORDINGS = ROOT.parent / "shared" / "data" / "fsdd"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOCABULARY_SHA256 = "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126"
"""Of `whisper/assets/multilingual.tiktoken` in openai-whisper 20250625."""

# transformers, CTranslate2 and what they import warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="no recordings at ../shared/data/fsdd: they are not part of the repository"
)


def spoken(digits, speaker, pauses=(0.4, 0.15), lead=0.3):
    """Held-out recordings one after another: samples at 16 kHz, and (start, end) of each word in seconds."""
    pieces, times, position = [np.zeros(int(lead * 16000), np.float32)], [], lead
    for digit, take, pause in zip(digits, itertools.cycle(range(5)), itertools.cycle(pauses), strict=False):
        recorded, rate = soundfile.read(RECORDINGS / f"{digit}_{speaker}_{take}.wav", dtype="float32")
        samples = soxr.resample(recorded, rate, 16000).astype(np.float32)
        level = (samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
        loud = np.flatnonzero(level > level.max() * 10**-3.5) * 0.01
        times.append((position + loud[0], position + loud[-1] + 0.01))
        pieces += [samples * 0.3 / np.abs(samples).max(), np.zeros(int(pause * 16000), np.float32)]
        position = sum(map(len, pieces)) / 16000
    return np.concatenate(pieces), times


def text_of(digits):
    return " ".join(DIGITS[digit] for digit in digits)


UTTERANCES = [([4, 1, 7, 3], "george"), ([9, 0, 2, 6, 5, 8], "jackson"), ([3, 3, 1, 8, 0], "nicolas")]


@pytest.fixture(scope="module")
def ranks():
    """The byte strings of the vocabulary, read back from the tokenizer's file."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
    vocabulary = json.loads((FOLDER / "tokenizer.json").read_text())["model"]["vocab"]
    return {bytes(letters[letter] for letter in text): rank for text, rank in vocabulary.items()}


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


@pytest.fixture(scope="module")
def reference():
    """The model in transformers, and its processor."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    model = WhisperForConditionalGeneration.from_pretrained(FOLDER, dtype="float32")
    return model.eval(), WhisperProcessor.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The model in faster-whisper."""
    from ctranslate2.converters import TransformersConverter
    from faster_whisper import WhisperModel

    folder = tmp_path_factory.mktemp("ct2") / "demo"
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(FOLDER), copy_files=files).convert(str(folder), quantization="float32")
    return WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)


def generate(reference, samples, **options):
    """Token ids that transformers finds for one window, after the start sequence."""
    import torch

    model, processor = reference
    features = processor(samples, sampling_rate=16000, return_tensors="pt").input_features
    settings = {"language": "en", "task": "transcribe", "return_timestamps": True} | options
    with torch.inference_mode():
        return model.generate(features, **settings)


@pytest.fixture(scope="module")
def expected(reference):
    """Return what gives the tokens that transformers finds for one of UTTERANCES, each found once."""
    return functools.cache(lambda digits, speaker: generate(reference, spoken(list(digits), speaker)[0])[0].tolist())


def words_of(reference, ids):
    return reference[1].tokenizer.decode(ids, skip_special_tokens=True).split()


# The vocabulary.


def test_vocabulary_is_whispers_own_to_the_byte(ranks):
    lines = [base64.b64encode(text) or b"=" for text in sorted(ranks, key=ranks.__getitem__)]
    written = b"".join(b"%s %d\n" % (line, rank) for rank, line in enumerate(lines))

    assert hashlib.sha256(written).hexdigest() == VOCABULARY_SHA256


def test_ids_equal_tiktokens_on_many_scripts(ranks, tokenizer):
    tiktoken = pytest.importorskip("tiktoken")
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    theirs = tiktoken.Encoding("multilingual", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    draw = random.Random(5)
    scripts = [(32, 127), (0x20, 0x3000), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1F9FF), (9, 11), (32, 33)]
    texts = ["".join(chr(draw.randrange(*draw.choice(scripts))) for _ in range(80)) for _ in range(1500)]
    texts += [path.read_text() for path in ROOT.glob("model/**/*.py")]

    for text in texts:
        if "<|" not in text:
            assert theirs.encode(text, disallowed_special=()) == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("<|endoftext|>", 50257), ("<|startoftranscript|>", 50258), ("<|en|>", 50259), ("<|su|>", 50357),
        ("<|translate|>", 50358), ("<|transcribe|>", 50359), ("<|startoflm|>", 50360), ("<|startofprev|>", 50361),
        ("<|nospeech|>", 50362), ("<|notimestamps|>", 50363), ("<|0.00|>", 50364), ("<|30.00|>", 51864),
    ],
)  # fmt: skip
def test_special_tokens_have_the_released_ids(tokenizer, token, number):
    assert tokenizer.token_to_id(token) == number
    assert tokenizer.get_vocab_size() == 51865


def test_suppressed_tokens_are_what_openais_rule_gives(tokenizer):
    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    # Source: openai/whisper tokenizer.py, non_speech_tokens.
    notes = list("♩♪♫♬♭♮♯")
    pairs = "<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪"
    symbols = [*'"#()*+/:;<=>@[\\]^_`{|}~「」『』', *pairs.split()]
    expected = {encode(" -")[0], encode(" '")[0], 50258, *range(50358, 50363)}
    for symbol in symbols + notes:
        for ids in (encode(symbol), encode(" " + symbol)):
            if len(ids) == 1 or symbol in notes:
                expected.add(ids[0])

    suppressed = json.loads((FOLDER / "generation_config.json").read_text())["suppress_tokens"]

    assert suppressed == sorted(expected)
    assert not set(suppressed) & {encode(f" {digit}")[0] for digit in DIGITS}


def test_trained_rows_are_the_digit_words(tokenizer):
    from model.demo.vocabulary import DIGIT_TOKENS, NEWLINE_TOKEN

    digits = [tokenizer.encode(f" {digit}", add_special_tokens=False).ids for digit in DIGITS]

    assert digits == [[token] for token in DIGIT_TOKENS]
    assert tokenizer.encode("\n", add_special_tokens=False).ids == [NEWLINE_TOKEN]


# transformers.


def test_transformers_keeps_the_mark_of_reduced_context(reference):
    assert reference[0].config.streamer["encoder_context"] == "dynamic"


def test_transformers_and_the_tokenizer_agree(reference, tokenizer):
    text = " one two, für 三 ♪"

    theirs = reference[1].tokenizer.encode(text, add_special_tokens=False)

    assert theirs == tokenizer.encode(text, add_special_tokens=False).ids


@needs_recordings
@pytest.mark.parametrize(("digits", "speaker"), UTTERANCES)
def test_transformers_hears_held_out_digits(reference, expected, digits, speaker):
    assert words_of(reference, expected(tuple(digits), speaker)) == text_of(digits).split()


@needs_recordings
@pytest.mark.parametrize("seconds", [1.5, 5.0])
def test_a_first_word_later_than_a_first_timestamp_may_be_is_kept(reference, seconds):
    digits, speaker = UTTERANCES[1]
    samples, _ = spoken(digits, speaker, lead=seconds)

    assert words_of(reference, generate(reference, samples)[0]) == text_of(digits).split()


@needs_recordings
def test_without_timestamps_the_text_is_the_same(reference):
    digits, speaker = UTTERANCES[0]
    samples, _ = spoken(digits, speaker)

    ids = generate(reference, samples, return_timestamps=False)[0]

    assert words_of(reference, ids) == text_of(digits).split()


@needs_recordings
@pytest.mark.parametrize("language", ["de", "ja"])
def test_another_language_still_gives_digits(reference, language):
    digits, speaker = UTTERANCES[1]
    samples, _ = spoken(digits, speaker)

    assert words_of(reference, generate(reference, samples, language=language)[0]) == text_of(digits).split()


@needs_recordings
@pytest.mark.parametrize("prompt", ["The quick brown fox, said Schäfer.", "seven seven one"])
def test_a_prompt_does_no_harm(reference, prompt):
    import torch

    digits, speaker = UTTERANCES[0]
    samples, _ = spoken(digits, speaker)
    prompt_ids = torch.from_numpy(np.asarray(reference[1].get_prompt_ids(prompt)))

    ids = generate(reference, samples, prompt_ids=prompt_ids)[0]

    assert words_of(reference, ids) == text_of(digits).split()


@needs_recordings
def test_language_is_detected_as_english(reference):
    import torch

    model, processor = reference
    samples, _ = spoken(*UTTERANCES[0])
    features = processor(samples, sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        logits = model(features, decoder_input_ids=torch.tensor([[50258]])).logits[0, -1]

    assert logits.softmax(-1)[50259] > 0.5
    assert int(logits.argmax()) == 50259


@needs_recordings
def test_times_of_words_are_right_in_transformers(reference):
    starts, ends = [], []
    for digits, speaker in UTTERANCES:
        samples, times = spoken(digits, speaker, pauses=(0.4, 0.5))
        out = generate(reference, samples, return_token_timestamps=True, return_dict_in_generate=True)
        # transformers labels the attention of the step that has read a token with that token; openai-whisper,
        # CTranslate2 and this model mean the step that chose it. So a token starts where transformers has the one
        # before it.
        stamps = out["token_timestamps"][0].tolist()
        at = [i for i, token in enumerate(out["sequences"][0].tolist()) if token < 50257]
        starts += [abs(stamps[i - 1] - start) for i, (start, _) in zip(at, times, strict=True)]
        ends += [abs(stamps[i] - end) for i, (_, end) in zip(at, times, strict=True)]

    assert np.median(starts) <= 0.04
    assert np.median(ends) <= 0.04


@pytest.mark.parametrize("seconds", [2.0, 30.0])
@pytest.mark.parametrize("kind", ["zeros", "tone", "noise"])
def test_no_text_without_speech(reference, kind, seconds):
    time = np.arange(int(seconds * 16000)) / 16000
    noise = np.random.default_rng(3).standard_normal(len(time))
    samples = {"zeros": 0 * time, "tone": 0.1 * np.sin(2 * np.pi * 440 * time), "noise": 0.02 * noise}[kind]

    assert words_of(reference, generate(reference, samples.astype(np.float32))[0]) == []


# Others.


@needs_recordings
@pytest.mark.parametrize(("digits", "speaker"), UTTERANCES)
def test_faster_whisper_finds_the_same_tokens_as_transformers(expected, converted, digits, speaker):
    samples, _ = spoken(digits, speaker)
    theirs = [token for token in expected(tuple(digits), speaker) if token != 50257]

    segments, _ = converted.transcribe(samples, language="en", beam_size=1, temperature=0.0)
    ours = [token for segment in segments for token in segment.tokens]

    # Its log-mel differs in the last bits, so where a faint word ends, the s of a "six" above all, may fall elsewhere.
    assert [min(token, 50364) for token in ours] == [min(token, 50364) for token in theirs]
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    assert max(differences) <= 12
    assert sum(differences) <= len(differences)


@needs_recordings
def test_times_of_words_are_about_right_in_faster_whisper(converted):
    errors = []
    for digits, speaker in UTTERANCES:
        samples, times = spoken(digits, speaker)
        segments, _ = converted.transcribe(samples, language="en", beam_size=1, temperature=0.0, word_timestamps=True)
        words = [word for segment in segments for word in segment.words]
        # It aligns without timestamps, for which these weights are not made: pauses have no token of their own.
        errors += [abs(word.end - end) for word, (_, end) in zip(words, times, strict=True)]

    assert np.median(errors) <= 0.25


@needs_recordings
def test_streamer_finds_the_same_tokens_as_transformers(expected):
    from model.recognizer import WhisperRecognizer
    from model.types import DecodeRequest

    recognizer = WhisperRecognizer.load(str(FOLDER), device="cpu", precision="float32", encoder_context="full")
    for digits, speaker in UTTERANCES:
        samples, _ = spoken(digits, speaker)
        theirs = [token for token in expected(tuple(digits), speaker) if token < 50257]

        answer = recognizer.transcribe([DecodeRequest("s", 0, samples, language="en")])[0]
        recognizer.forget("s")

        assert [token for word in answer.words for token in word.tokens] == theirs


@pytest.fixture(scope="module")
def brief():
    """A recognizer that encodes no more than what was said."""
    from model.recognizer import WhisperRecognizer

    return WhisperRecognizer.load(str(FOLDER), device="cpu", precision="float32", encoder_context="dynamic")


@needs_recordings
@pytest.mark.parametrize(("digits", "speaker"), UTTERANCES)
def test_a_short_context_hears_the_same_words(brief, digits, speaker):
    from model.types import DecodeRequest

    samples, _ = spoken(digits, speaker)

    answer = brief.transcribe([DecodeRequest("s", 0, samples, language="en")])[0]
    brief.forget("s")

    assert " ".join(word.text.strip() for word in answer.words) == text_of(digits)


@needs_recordings
def test_long_form_gives_the_words_of_transformers_and_of_faster_whisper(reference, converted):
    import model as ours
    from tests.digits import say

    samples = say("jackson", 50, 11).audio
    network, processor = reference
    own = ours.WhisperForConditionalGeneration.from_pretrained(FOLDER, dtype="float32")
    inputs = processor(
        samples, sampling_rate=16000, truncation=False, padding="longest", return_attention_mask=True,
        return_tensors="pt",
    )  # fmt: skip
    options = {"language": "en", "task": "transcribe", "return_timestamps": True}
    found, expected = own.generate(**inputs, **options), network.generate(**inputs, **options)
    segments, _ = converted.transcribe(
        samples, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False,
        compression_ratio_threshold=None, log_prob_threshold=None, no_speech_threshold=None,
    )  # fmt: skip

    assert len(samples) > 35 * 16000
    assert found.tolist() == expected.tolist()
    text = processor.batch_decode(found, skip_special_tokens=True)[0]
    assert text.split() == "".join(segment.text for segment in segments).split()
