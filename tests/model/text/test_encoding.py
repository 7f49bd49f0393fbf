"""The options of calling the tokenizer, against the reference."""

import warnings

import numpy as np
import pytest
import torch
import transformers

from model.tokenizer import WhisperTokenizer
from tests.model.tokenizer_folders import write_vocabulary

BATCH = ["one", "the second is longer, much longer", "", "日本"]
CALLS = [
    (BATCH, {}),
    (BATCH, {"padding": True}),
    (BATCH, {"padding": "longest", "return_tensors": "np"}),
    (BATCH, {"padding": True, "return_tensors": "pt", "padding_side": "left"}),
    (BATCH, {"padding": "max_length", "max_length": 12}),
    (BATCH, {"padding": "max_length", "max_length": 12, "truncation": True, "return_tensors": "pt"}),
    (BATCH, {"padding": "max_length", "truncation": True}),
    (BATCH[:1], {"padding": "max_length"}),
    (BATCH, {"padding": True, "pad_to_multiple_of": 8, "return_tensors": "np"}),
    (BATCH, {"max_length": 6}),
    (BATCH, {"max_length": 6, "truncation": False}),
    (BATCH, {"truncation": "do_not_truncate", "padding": "do_not_pad"}),
    (BATCH, {"truncation": True, "max_length": 9, "stride": 2, "return_overflowing_tokens": True}),
    (BATCH, {"add_special_tokens": False, "return_attention_mask": False}),
    (BATCH, {"return_token_type_ids": True, "return_special_tokens_mask": True, "return_length": True}),
    (BATCH, {"return_offsets_mapping": True}),
    (BATCH, {"text_pair": ["a", "b", "c", "d"]}),
    (BATCH, {"text_pair": ["a b", "b c", "", "d e"], "truncation": "only_first", "max_length": 8}),
    (BATCH, {"text_target": ["x", "y z", "", "w"], "max_target_length": 5}),
    (BATCH, {"text_target": ["x", "y z", "", "w"], "max_length": 5}),
    (BATCH, {"return_tensors": "np"}),
    ("single text", {}),
    ("single text", {"return_tensors": "pt"}),
    ("single text", {"padding": "max_length", "max_length": 10}),
    ("", {"return_tensors": "np", "add_special_tokens": False}),
    ("a", {"text_pair": "b"}),
    ("a", {"text_pair": ""}),
    ("cut in some pieces", {"truncation": True, "max_length": 9, "return_overflowing_tokens": True}),
    (["two", "words"], {"is_split_into_words": True}),
    ([["two", "words"], ["one"]], {"is_split_into_words": True, "padding": True}),
    (None, {"text_target": "only labels"}),
    ((), {}),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = write_vocabulary(tmp_path_factory.mktemp("encoding"), layout="unified", model_max_length=40)
    return WhisperTokenizer.from_pretrained(folder), transformers.WhisperTokenizer.from_pretrained(folder)


def plain(batch):
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in batch.items()}


@pytest.mark.parametrize(("text", "options"), CALLS[:-1])
def test_a_call_equals_the_reference(pair, text, options):
    ours, reference = (tokenizer(text, **options) for tokenizer in pair)

    for name, value in reference.items():
        assert type(ours[name]) is type(value), name
        if hasattr(value, "dtype"):
            assert ours[name].dtype == value.dtype
            assert ours[name].shape == value.shape
        if getattr(value, "dtype", None) is np.dtype(object):
            assert [row.tolist() for row in ours[name]] == [row.tolist() for row in value]
        else:
            np.testing.assert_array_equal(plain(ours)[name], plain(reference)[name]) if hasattr(
                value, "dtype"
            ) else None
            assert hasattr(value, "dtype") or ours[name] == value
    assert set(ours) == set(reference)


def test_calls_leave_no_trace(pair):
    ours, _ = pair
    before = ours.backend_tokenizer.to_str()
    ours(BATCH, padding="max_length", max_length=12, truncation=True, split_special_tokens=True)

    assert ours.backend_tokenizer.to_str() == before
    assert ours.encode("<|en|>", add_special_tokens=False) == [302]


@pytest.mark.parametrize("sides", [("left", "left"), ("right", "left"), ("left", "right")])
def test_sides_are_the_tokenizers(pair, sides):
    batches = []
    for tokenizer in pair:
        tokenizer.padding_side, tokenizer.truncation_side = sides
        batches.append(plain(tokenizer(BATCH, padding=True, truncation=True, max_length=9)))
        tokenizer.padding_side = tokenizer.truncation_side = "right"

    assert batches[0] == batches[1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "max_length", "max_length": 40, "return_tensors": "pt"},
        {"pad_to_multiple_of": 8, "return_tensors": "np"},
        {"padding_side": "left"},
        {"padding": False},
    ],
)
def test_padding_rows_that_came_one_by_one_equals_the_reference(pair, options):
    rows = [dict(pair[1](text, return_special_tokens_mask=True)) for text in BATCH]
    ours, reference = (tokenizer.pad([dict(row) for row in rows], **options) for tokenizer in pair)

    assert plain(ours) == plain(reference)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert plain(pair[0].pad(columns, **options)) == plain(reference)


def test_padding_tensors_and_a_single_row(pair):
    ours, reference = pair
    row = {"input_ids": torch.tensor([5, 6, 7])}

    assert ours.pad([row, {"input_ids": torch.tensor([5])}], return_tensors="pt").input_ids.tolist()[1][1:] == [
        300,
        300,
    ]
    single = {"input_ids": [5, 6]}
    expected = reference.pad(dict(single), padding="max_length", max_length=4)
    assert plain(ours.pad(single, padding="max_length", max_length=4)) == plain(expected)
    with pytest.raises(ValueError, match="rows to pad must have input_ids, got labels"):
        ours.pad([{"labels": [1]}])


def test_a_mask_that_rows_bring_stays(pair):
    rows = [{"input_ids": [5, 6, 7], "attention_mask": [0, 1, 1]}, {"input_ids": [5], "attention_mask": [1]}]
    ours, reference = (tokenizer.pad([dict(row) for row in rows]) for tokenizer in pair)

    assert plain(ours) == plain(reference)


def test_a_batch_knows_its_tokens(pair):
    ours, reference = (tokenizer(["one two", "three"], text_pair=["a", "b"]) for tokenizer in pair)

    for row in (0, 1):
        assert ours.tokens(row) == reference.tokens(row)
        assert ours.word_ids(row) == reference.word_ids(row)
        assert ours.sequence_ids(row) == reference.sequence_ids(row)
        assert ours[row].ids == reference[row].ids
    assert [row.ids for row in ours[:1]] == [row.ids for row in reference[:1]]
    assert ours.input_ids == reference.input_ids
    assert pair[0].tokenize("one two") == pair[1].tokenize("one two")
    tokens = pair[1].tokenize(" über")
    assert pair[0].convert_tokens_to_string(tokens) == pair[1].convert_tokens_to_string(tokens) == " über"


def test_a_tokenizer_without_limit_cuts_nothing(tmp_path):
    folder = write_vocabulary(tmp_path, layout="unified", model_max_length=None)
    ours = WhisperTokenizer.from_pretrained(folder)
    reference = transformers.WhisperTokenizer.from_pretrained(folder)

    for options in ({"truncation": True}, {"padding": "max_length"}):
        assert plain(ours(BATCH, **options)) == plain(reference(BATCH, **options))


def test_a_length_that_says_nothing_is_warned_of(pair):
    with pytest.warns(UserWarning, match="max_length is ignored"):
        pair[0](BATCH, padding=True, max_length=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair[0](BATCH, padding=True, max_length=5, verbose=False)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (None, {}, ValueError, "text or text_target must be given"),
        ("a", {"padding": "left"}, ValueError, "padding must be True, False or one of .* got 'left'"),
        ("a", {"truncation": "all"}, ValueError, "truncation must be .* got 'all'"),
        ("a", {"return_tensors": "tf"}, ValueError, 'return_tensors must be "pt", "np" or None'),
        (["a", "b c d e"], {"return_tensors": "pt"}, ValueError, "input_ids cannot be a tensor, its rows differ"),
        (7, {}, TypeError, "text must be a string, .* got 7"),
        (["a", "b"], {"text_pair": ["c"]}, ValueError, "text_pair must be a list as long as text"),
        ("a", {"max_length": 7, "truncation": True, "padding": True, "pad_to_multiple_of": 4}, ValueError, "multiple"),
        ("a", {"paddding": True}, TypeError, "unexpected keyword argument 'paddding'"),
    ],
)
def test_what_cannot_be_is_refused(pair, text, options, error, message):
    with pytest.raises(error, match=message):
        pair[0](text, **options)


def test_padding_needs_a_token(tmp_path):
    folder = write_vocabulary(tmp_path, layout="unified", pad_token=None)

    with pytest.raises(ValueError, match="padding needs a padding token"):
        WhisperTokenizer.from_pretrained(folder)(BATCH, padding=True)
