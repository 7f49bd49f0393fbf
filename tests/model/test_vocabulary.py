"""The recognizer's vocabulary against the reference's tokenizer, byte by byte."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.tokenization_whisper import LANGUAGES as REFERENCE_LANGUAGES
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE, _combine_tokens_into_words

from model.config import ModelError
from model.files.hub import demo_folder
from model.text.languages import LANGUAGES, language_code
from model.types import Task
from model.vocabulary import Vocabulary
from tests.model.checkpoints import SPECIALS, TEXT_TOKENS, TINY_VOCABULARY, tiny_tokenizer
from tests.model.texts import SENTENCES, unicode_texts

CORPUS = (*SENTENCES, "<|en|> is no command", "<|endoftext|>")


@pytest.fixture(scope="module")
def full():
    """The multilingual vocabulary, 51,865 tokens."""
    return Vocabulary.from_pretrained(demo_folder())


@pytest.fixture
def reference(demo_tokenizers):
    return demo_tokenizers[1]


@pytest.fixture(scope="module")
def tiny(vocabulary):
    return Vocabulary.from_pretrained(vocabulary)


def plain(texts):
    """The reference takes special tokens written out for the tokens; we do not, so those are compared elsewhere."""
    return [text for text in texts if "<|" not in text]


def test_encoding_equals_the_reference_over_many_scripts(full, reference):
    for text in plain([*CORPUS, *unicode_texts(1500)]):
        assert list(full.encode(text)) == reference.encode(text, add_special_tokens=False), text


def test_decoding_gives_back_every_text(full):
    for text in [*CORPUS, *unicode_texts(1500, seed=4)]:
        assert full.decode(full.encode(text)) == text


def test_decoding_equals_the_reference_for_any_tokens(full, reference):
    rng = random.Random(8)
    for _ in range(1500):
        # Mostly broken UTF-8: tokens are cut from their characters.
        tokens = [rng.randrange(rng.choice([256, 5000, 50257, 50364])) for _ in range(rng.randint(0, 12))]
        tokens = [token for token in tokens if token != full.startofprev]  # the reference drops what it begins
        assert full.decode(tokens) == reference.decode(tokens, skip_special_tokens=True)
        assert full.decode(tokens, skip_special_tokens=False) == reference.decode(tokens)


def test_every_token_has_the_references_text(full, reference):
    tokens = range(full.vocab_size)

    assert full.vocab_size == 51865
    assert [full.decode_with_timestamps([t]) for t in tokens] == [
        super(type(reference), reference).decode([t]) for t in tokens
    ]


def test_special_tokens_equal_the_reference(full, reference):
    ids = reference.convert_tokens_to_ids

    assert full.eot == reference.eos_token_id == 50257
    assert full.sot == ids("<|startoftranscript|>")
    assert full.startofprev == ids("<|startofprev|>")
    assert full.startoflm == ids("<|startoflm|>")
    assert full.nospeech == ids("<|nospeech|>")
    assert full.notimestamps == ids("<|notimestamps|>")
    assert full.timestamp_begin == ids("<|0.00|>")
    assert full.multilingual


@pytest.mark.parametrize(
    ("language", "task"), [("en", Task.TRANSCRIBE), ("de", Task.TRANSLATE), ("su", Task.TRANSLATE)]
)
@pytest.mark.parametrize("timestamps", [True, False])
def test_start_sequences_equal_the_reference(full, reference, language, task, timestamps):
    start, names = reference.convert_tokens_to_ids("<|startoftranscript|>"), [f"<|{language}|>", f"<|{task.value}|>"]
    names += [] if timestamps else ["<|notimestamps|>"]

    sequence = full.sot_sequence(language, task, timestamps=timestamps)

    assert list(sequence) == [start, *reference.convert_tokens_to_ids(names)]


def test_words_equal_the_references(full, reference):
    for text in plain(CORPUS):
        for language, name in (("en", "english"), ("ja", "japanese"), ("yue", "cantonese"), ("ru", "russian")):
            tokens = list(full.encode(text))
            words, word_tokens, _ = _combine_tokens_into_words(reference, tokens, name)

            split = full.split_words(tokens, language=language)

            assert [word for word, _ in split] == words, (text, language)
            assert [list(ids) for _, ids in split] == word_tokens


def test_vocab_and_merges_files_are_the_same_vocabulary(full, tmp_path):
    spec = json.loads((demo_folder() / "tokenizer.json").read_text())
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]]
    (tmp_path / "vocab.json").write_text(json.dumps(spec["model"]["vocab"]))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    added = {token["content"]: token["id"] for token in spec["added_tokens"]}
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))

    old = Vocabulary.from_pretrained(tmp_path)

    assert old.languages == full.languages
    for text in [*CORPUS, *unicode_texts(300, seed=5)]:
        assert old.encode(text) == full.encode(text)
        assert old.decode(old.encode(text)) == text


def test_cantonese_is_put_in_its_place(full):
    large = full.with_cantonese()

    assert large.vocab_size == 51866
    assert large.languages["yue"] == 50358
    assert large.languages | {"yue": 0} == full.languages | {"yue": 0}
    assert (large.translate, large.transcribe) == (50359, 50360)
    assert (large.nospeech, large.notimestamps, large.timestamp_begin) == (50363, 50364, 50365)
    assert large.decode_with_timestamps([50358, 50360, 50365, 51865]) == "<|yue|><|transcribe|><|0.00|><|30.00|>"
    assert large.encode(" as before") == full.encode(" as before")


def test_an_english_only_vocabulary_names_no_language():
    specials = {content: 50256 + i for i, content in enumerate(SPECIALS)}
    english = Vocabulary(tiny_tokenizer(), specials)

    assert not english.multilingual
    assert english.languages == {}
    assert english.timestamp_begin == 50363
    assert english.sot_sequence() == (50257,)
    assert english.sot_sequence(None, timestamps=False) == (50257, 50362)
    with pytest.raises(ValueError, match="can only transcribe 'en', got transcribe 'de'"):
        english.sot_sequence("de")
    with pytest.raises(ValueError, match="can only transcribe 'en', got translate 'en'"):
        english.sot_sequence("en", Task.TRANSLATE)


def test_special_tokens_in_text_are_text(tiny):
    for text in ("<|startoftranscript|>", " ok <|endoftext|><|0.00|> <|en|>"):
        tokens = tiny.encode(text)

        assert max(tokens) < TEXT_TOKENS
        assert tiny.decode(tokens) == text


def test_decoding_leaves_out_what_is_no_text(tiny):
    tokens = [
        *tiny.sot_sequence("de"), tiny.timestamp_begin, *tiny.encode(" Hallo"), tiny.timestamp_begin + 54, tiny.eot,
    ]  # fmt: skip

    assert tiny.decode(tokens) == " Hallo"
    assert tiny.decode(tokens, skip_special_tokens=False) == (
        "<|startoftranscript|><|de|><|transcribe|> Hallo<|endoftext|>"
    )
    assert tiny.decode_with_timestamps(tokens, skip_special_tokens=True) == "<|0.00|> Hallo<|1.08|>"
    assert tiny.decode_with_timestamps(tokens).startswith("<|startoftranscript|><|de|><|transcribe|><|0.00|>")


def test_timestamps_are_the_last_1501_tokens(tiny):
    assert tiny.vocab_size == TINY_VOCABULARY
    assert not tiny.is_timestamp(tiny.notimestamps)
    assert tiny.is_timestamp(tiny.timestamp_begin)
    assert tiny.is_timestamp(tiny.timestamp_begin + 1500)
    assert not tiny.is_timestamp(tiny.timestamp_begin + 1501)


def test_timestamps_missing_from_the_file_are_known(tmp_path):
    spec = json.loads(tiny_tokenizer().to_str())
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["special"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    old = Vocabulary.from_pretrained(tmp_path)

    assert old.vocab_size == TINY_VOCABULARY
    assert old.decode_with_timestamps([old.timestamp_begin + 1]) == "<|0.02|>"


def test_words_a_finetune_added_are_text(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["Zwölfboxkämpfer"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = Vocabulary.from_pretrained(tmp_path)

    assert ours.encode("Zwölfboxkämpfer") == (TINY_VOCABULARY,)
    assert ours.decode([TINY_VOCABULARY]) == "Zwölfboxkämpfer"


@settings(max_examples=300)
@given(st.lists(st.integers(0, TEXT_TOKENS - 1), max_size=30), st.sampled_from(["en", "ja", None]), st.booleans())
def test_splitting_any_tokens_loses_nothing(tiny, tokens, language, merge):
    words = tiny.split_words(tokens, language=language, merge=merge)

    assert [token for _, ids in words for token in ids] == tokens
    assert "".join(word for word, _ in words) == tiny.decode(tokens)
    assert all(ids for _, ids in words)


def test_half_a_character_at_the_end_is_a_word_of_its_own_until_it_is_whole(tiny):
    tokens = tiny.encode("いい天気𐍈")
    assert len(tiny.encode("𐍈")) == 4, "the vocabulary knows its bytes only"

    half = tiny.split_words(tokens[:-1], language="ja")
    whole = tiny.split_words(tokens, language="ja")

    assert half[-1] == ("\ufffd", tokens[-4:-1])
    assert whole[-1] == ("𐍈", tokens[-4:])
    assert half[:-1] == whole[:-1]


def test_punctuation_goes_with_its_word_if_asked(tiny):
    tokens = tiny.encode(' He said, "no (really)!" - yes')

    assert [word for word, _ in tiny.split_words(tokens)] == [
        " He", " said,", ' "no', ' (really)!"', " -", " yes",
    ]  # fmt: skip
    assert [word for word, _ in tiny.split_words(tokens, merge=False)][:3] == [" He", " said", ","]


def test_special_tokens_are_words_of_their_own(tiny):
    tokens = [tiny.timestamp_begin, *tiny.encode(" one two"), tiny.timestamp_begin + 50]

    assert [word for word, _ in tiny.split_words(tokens)] == ["<|0.00|>", " one", " two", "<|1.00|>"]


@pytest.mark.parametrize("token", [-1, TINY_VOCABULARY])
def test_an_id_that_is_no_token_is_refused(tiny, token):
    for method in (tiny.decode, tiny.decode_with_timestamps, tiny.split_words):
        with pytest.raises(ValueError, match=f"token must be in the vocabulary of {TINY_VOCABULARY}, got {token}"):
            method([token])


def test_a_language_the_vocabulary_lacks_is_refused(tiny):
    with pytest.raises(ValueError, match=r"language must be one of en, zh, .*, got 'yue'"):
        tiny.sot_sequence("yue")


def test_detection_starts_with_the_start_token_alone(tiny):
    assert tiny.sot_sequence(None) == (tiny.sot,)


def test_the_languages_are_the_references():
    assert dict(LANGUAGES) == REFERENCE_LANGUAGES
    assert list(LANGUAGES) == list(REFERENCE_LANGUAGES), "the order is that of the ids"
    for name, code in TO_LANGUAGE_CODE.items():
        assert language_code(name.title()) == language_code(code) == code


def test_an_unknown_language_is_refused_by_name():
    with pytest.raises(ValueError, match="got 'klingon'"):
        language_code("klingon")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "tokenizer.json is not JSON"),
        ('{"model": {"vocab": {}}, "added_tokens": []}', "tokenizer.json is not a tokenizer"),
        (None, "holds no tokenizer.json, nor vocab.json with merges.txt"),
    ],
)
def test_a_folder_without_a_vocabulary_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)

    with pytest.raises(ModelError, match=message):
        Vocabulary.from_pretrained(tmp_path)


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
    spec = json.loads(tiny_tokenizer().to_str())
    spec["added_tokens"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))

    with pytest.raises(ModelError, match=r"not a Whisper's: it has no <\|endoftext\|>"):
        Vocabulary.from_pretrained(tmp_path)
