"""The tokenizer against the reference's, byte by byte: prefixes, prompts, masks, special tokens, words."""

import random
from itertools import product

import pytest
import transformers
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE, _combine_tokens_into_words

from model.tokenizer import WhisperTokenizer, WhisperTokenizerFast
from tests.model.texts import COMMANDS, SENTENCES, unicode_texts
from tests.model.tokenizer_folders import write_vocabulary


@pytest.fixture
def full(demo_tokenizers):
    return demo_tokenizers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("small"), 100, layout="unified")


@pytest.fixture
def small(folder):
    """A small vocabulary with Cantonese, to change."""
    return WhisperTokenizer.from_pretrained(folder), transformers.WhisperTokenizer.from_pretrained(folder)


def test_encoding_equals_the_reference_over_many_scripts(full):
    ours, reference = full
    for text in [*SENTENCES, *COMMANDS, *unicode_texts(600)]:
        assert dict(ours(text)) == dict(reference(text)), text
        assert ours.encode(text, add_special_tokens=False) == reference.encode(text, add_special_tokens=False)


def test_special_tokens_in_text_are_these_tokens_unless_they_are_split(full):
    ours, reference = full

    assert ours.encode("<|en|>", add_special_tokens=False) == [50259]
    for text in COMMANDS:
        split = ours(text, split_special_tokens=True)
        assert dict(split) == dict(reference(text, split_special_tokens=True))
        assert ours(text)["input_ids"] == reference(text)["input_ids"]


def test_every_token_and_id_equals_the_reference(full):
    ours, reference = full
    ids = range(len(reference) + 2)

    assert len(ours) == len(reference) == 51865
    assert ours.vocab_size == reference.vocab_size
    assert ours.convert_ids_to_tokens(ids) == reference.convert_ids_to_tokens(ids)
    tokens = [token for token in ours.convert_ids_to_tokens(ids) if token is not None]
    assert ours.convert_tokens_to_ids(tokens) == reference.convert_tokens_to_ids(tokens)
    assert ours.get_vocab() == reference.get_vocab()
    assert ours.convert_tokens_to_ids("no such token") == reference.convert_tokens_to_ids("no such token")
    assert ours.get_added_vocab() == reference.get_added_vocab()


def test_special_tokens_equal_the_reference(full):
    ours, reference = full

    assert ours.all_special_tokens == reference.all_special_tokens
    assert ours.all_special_ids == reference.all_special_ids
    assert ours.special_tokens_map == reference.special_tokens_map
    for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask"):
        for kind in ("token", "token_id"):
            assert getattr(ours, f"{name}_{kind}") == getattr(reference, f"{name}_{kind}")
    assert ours.model_input_names == reference.model_input_names
    assert (ours.padding_side, ours.truncation_side) == (reference.padding_side, reference.truncation_side)
    assert ours.model_max_length == reference.model_max_length == 448
    assert ours.num_special_tokens_to_add() == reference.num_special_tokens_to_add()


def test_special_tokens_may_be_set(small):
    for tokenizer in small:
        tokenizer.pad_token = "!"
        tokenizer.cls_token_id = 5
        tokenizer.add_special_tokens({"sep_token": "<sep>", "additional_special_tokens": ["<a>", "<b>"]})
        tokenizer.add_tokens(["Zwölfboxkämpfer", "<a>"])
    ours, reference = small

    assert ours.special_tokens_map == reference.special_tokens_map
    assert ours.all_special_ids == reference.all_special_ids
    assert len(ours) == len(reference)
    text = "ein Zwölfboxkämpfer <sep> <b>"
    assert ours.encode(text) == reference.encode(text)
    ids = ours.encode(text)
    assert ours.decode(ids, skip_special_tokens=True) == reference.decode(ids, skip_special_tokens=True)
    assert ours.split_words(ours.encode("Zwölfboxkämpfer", add_special_tokens=False))[0][0] == "Zwölfboxkämpfer"
    with pytest.raises(ValueError, match=r"must be one of bos_token, .*, got 'end_token'"):
        ours.add_special_tokens({"end_token": "x"})
    with pytest.raises(ValueError, match="pad_token must be a token's text, got 3"):
        ours.pad_token = 3


def test_special_tokens_may_be_added_to_those_there_are_and_left_out_of_a_list(small):
    for tokenizer in small:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<a>"]}, replace_extra_special_tokens=False)
    ours, reference = small
    ids = [5, *ours.encode("b <a>"), 6]

    assert ours.all_special_ids == reference.all_special_ids
    for skip in (False, True):
        tokens = ours.convert_ids_to_tokens(ids, skip_special_tokens=skip)
        assert tokens == reference.convert_ids_to_tokens(ids, skip_special_tokens=skip)


def test_words_of_a_token_that_came_later_are_found(folder):
    ours = WhisperTokenizer.from_pretrained(folder)
    ours.split_words(ours.encode("one"))
    ours.add_tokens("Zwölfboxkämpfer")

    assert [word for word, _ in ours.split_words(ours.encode("Zwölfboxkämpfer"))][-2] == "Zwölfboxkämpfer"


def test_prefixes_equal_the_reference(small):
    ours, reference = small
    languages = (None, "en", "german", "Haitian Creole", "MANDARIN", "yue", "haw")
    for language, task, stamps in product(languages, (None, "transcribe", "translate"), (None, True, False)):
        for tokenizer in small:
            tokenizer.set_prefix_tokens(language=language, task=task, predict_timestamps=stamps)

        assert ours.prefix_tokens == reference.prefix_tokens
        assert (ours.language, ours.task) == (reference.language, reference.task)
        assert ours("one", "two") == dict(reference("one", "two"))
        for build in ("build_inputs_with_special_tokens", "get_special_tokens_mask"):
            for arguments in (([5, 6],), ([5], [6])):
                assert getattr(ours, build)(*arguments) == getattr(reference, build)(*arguments)
        mask = ours.get_special_tokens_mask(ours("x")["input_ids"], already_has_special_tokens=True)
        assert mask == reference.get_special_tokens_mask(ours("x")["input_ids"], already_has_special_tokens=True)


def test_every_language_has_the_references_token(small):
    ours, reference = small
    for language in (*TO_LANGUAGE_CODE, *TO_LANGUAGE_CODE.values()):
        ours.set_prefix_tokens(language=language)
        reference.set_prefix_tokens(language=language)
        assert ours.prefix_tokens == reference.prefix_tokens


@pytest.mark.parametrize("no_timestamps", [True, False])
def test_decoder_prompts_equal_the_reference_and_stay_set(small, no_timestamps):
    ours, reference = small
    arguments = {"task": "translate", "language": "french", "no_timestamps": no_timestamps}

    assert ours.get_decoder_prompt_ids(**arguments) == reference.get_decoder_prompt_ids(**arguments)
    assert ours.get_decoder_prompt_ids(task="transcribe") == reference.get_decoder_prompt_ids(task="transcribe")
    assert ours.prefix_tokens == reference.prefix_tokens


def test_a_prefix_that_cannot_be_is_refused_and_changes_nothing(small, tmp_path):
    ours, _ = small
    before = ours.prefix_tokens
    with pytest.raises(ValueError, match=r"language must be a code such as 'en' .* got 'klingon'"):
        ours.set_prefix_tokens(language="Klingon", task="translate")
    with pytest.raises(ValueError, match="task must be one of transcribe, translate, got 'sing'"):
        ours.set_prefix_tokens(task="sing")
    assert ours.prefix_tokens == before
    older = WhisperTokenizer.from_pretrained(write_vocabulary(tmp_path, 99))
    with pytest.raises(ValueError, match=r"got 'cantonese': it has no <\|yue\|>"):
        older.set_prefix_tokens(language="cantonese")


@pytest.mark.parametrize("text", ["Hello there", "  spaces around \n", "", "naïve 日本"])
def test_prompts_equal_the_reference(full, text):
    ours, reference = full

    assert ours.get_prompt_ids(text).tolist() == reference.get_prompt_ids(text).tolist()
    tensor = ours.get_prompt_ids(text, return_tensors="pt")
    assert tensor.equal(reference.get_prompt_ids(text, return_tensors="pt"))
    assert ours.get_prompt_ids(text, return_tensors=None) == tensor.tolist()


@pytest.mark.parametrize("name", ["de", "endoftext", "notimestamps"])
def test_a_prompt_with_a_special_token_is_refused(full, name):
    ours, reference = full
    with pytest.raises(ValueError, match=rf"has the special token <\|{name}\|>"):
        ours.get_prompt_ids(f"a <|{name}|> b")
    with pytest.raises(ValueError):
        reference.get_prompt_ids(f"a <|{name}|> b")


def test_a_mask_of_tokens_that_have_their_special_ones_takes_no_second_text(full):
    with pytest.raises(ValueError, match="token_ids_1 must be None"):
        full[0].get_special_tokens_mask([5], [6], already_has_special_tokens=True)


@pytest.mark.parametrize(
    "language", ["english", "japanese", "cantonese", "chinese", "thai", "lao", "myanmar", "russian"]
)
def test_words_equal_the_reference(full, language):
    ours, reference = full
    for text in [*SENTENCES, *unicode_texts(30, seed=9)]:
        tokens = ours.encode(text, add_special_tokens=False)
        words, word_tokens, _ = _combine_tokens_into_words(reference, tokens, language)

        split = ours.split_words(tokens, language)

        assert [word for word, _ in split] == words, text
        assert [list(ids) for _, ids in split] == word_tokens


def test_words_follow_the_tokenizers_language_and_special_tokens_stand_alone(folder):
    ours = WhisperTokenizer.from_pretrained(folder, language="japanese")
    tokens = ours.encode("いい天気")

    assert [word for word, _ in ours.split_words(tokens)] == [
        "<|startoftranscript|>", "<|ja|>", "<|notimestamps|>", "い", "い", "天", "気", "<|endoftext|>",
    ]  # fmt: skip
    assert [word for word, _ in ours.split_words(tokens[3:-1], "english")] == ["いい天気"]


def test_splitting_any_tokens_loses_nothing(full):
    ours, _ = full
    rng = random.Random(5)
    for _ in range(200):
        tokens = [rng.randrange(51865) for _ in range(rng.randint(0, 12))]
        words = ours.split_words(tokens, rng.choice(["en", "ja"]))
        assert [token for _, ids in words for token in ids] == tokens


def test_timestamp_ids_equal_the_reference(full):
    ours, reference = full

    assert ours.timestamp_ids() == reference.timestamp_ids()
    assert ours.timestamp_ids(0.04) == reference.timestamp_ids(0.04)


def test_the_older_name_is_the_same_class():
    assert WhisperTokenizerFast is WhisperTokenizer
