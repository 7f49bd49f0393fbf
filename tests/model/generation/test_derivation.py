"""The complete decoding rules of a checkpoint, from its file and without one."""

import dataclasses
import json

import pytest
import transformers

from model.config import ModelError, WhisperConfig
from model.files.hub import demo_folder
from model.generation.derivation import derive, load
from model.vocabulary import Vocabulary
from tests.model.checkpoints import SPECIALS, TEXT_TOKENS, tiny_tokenizer

CONFIG = WhisperConfig(
    vocab_size=2000, d_model=32, decoder_layers=4, decoder_attention_heads=2, encoder_attention_heads=2
)

# What the reference's conversion of openai/whisper writes for every multilingual model but large-v3.
OPENAI_SUPPRESS = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 359, 503, 522, 542, 873,
    893, 902, 918, 922, 931, 1350, 1853, 1982, 2460, 2627, 3246, 3253, 3268, 3536, 3846, 3961, 4183, 4667, 6585, 6647,
    7273, 9061, 9383, 10428, 10929, 11938, 12033, 12331, 12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604, 18362,
    18956, 20075, 21675, 22520, 26130, 26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425, 49870,
    50254, 50258, 50358, 50359, 50360, 50361, 50362,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return Vocabulary(tiny_tokenizer(), {content: TEXT_TOKENS + i for i, content in enumerate(SPECIALS)})


def test_without_a_file_the_later_half_of_the_layers_aligns(tokenizer, tmp_path):
    derived = load(tmp_path, CONFIG, tokenizer)

    assert derived.alignment_heads == ((2, 0), (2, 1), (3, 0), (3, 1))
    assert derived.decoder_start_token_id == tokenizer.sot
    assert derived.eos_token_id == derived.pad_token_id == tokenizer.eot
    assert derived.max_length == CONFIG.max_target_positions
    assert derived.prev_sot_token_id == tokenizer.startofprev
    assert derived.no_timestamps_token_id == tokenizer.notimestamps
    assert derived.max_initial_timestamp_index == 50
    assert derived.lang_to_id["<|de|>"] == tokenizer.languages["de"]
    assert derived.task_to_id == {"transcribe": tokenizer.transcribe, "translate": tokenizer.translate}


def test_without_a_file_the_released_models_tokens_are_suppressed():
    tokenizer = Vocabulary.from_pretrained(demo_folder())
    derived = derive(dataclasses.replace(CONFIG, vocab_size=51865), tokenizer)

    assert derived.suppress_tokens == OPENAI_SUPPRESS
    assert derived.begin_suppress_tokens == (220, 50257)


def test_a_file_that_the_reference_derived_from_the_model_s_configuration_is_as_none(tokenizer, tmp_path):
    without = load(tmp_path, CONFIG, tokenizer)
    values = {"_from_model_config": True, "begin_suppress_tokens": [220, 50256], "eos_token_id": 50256}
    (tmp_path / "generation_config.json").write_text(json.dumps(values))

    assert load(tmp_path, CONFIG, tokenizer) == without


@pytest.mark.parametrize("heads", [[], None])
def test_without_alignment_heads_in_the_file_they_are_derived(tokenizer, tmp_path, heads):
    (tmp_path / "generation_config.json").write_text(json.dumps({"alignment_heads": heads}))

    assert load(tmp_path, CONFIG, tokenizer).alignment_heads == ((2, 0), (2, 1), (3, 0), (3, 1))


def test_an_english_only_vocabulary_leaves_no_language_to_be_chosen_or_detected():
    english = Vocabulary(tiny_tokenizer(), {content: TEXT_TOKENS + i for i, content in enumerate(SPECIALS)})
    english.multilingual = False
    derived = derive(CONFIG, english)

    assert derived.is_multilingual is False
    assert not hasattr(derived, "lang_to_id")
    assert not hasattr(derived, "task_to_id")


def test_the_file_is_honoured(tokenizer, tmp_path):
    values = {
        "alignment_heads": [[1, 0], [3, 1]], "suppress_tokens": [5, 6], "begin_suppress_tokens": [7],
        "max_initial_timestamp_index": 10, "no_timestamps_token_id": 999,
        "eos_token_id": [301], "is_multilingual": True,
        "lang_to_id": {"<|en|>": 302}, "task_to_id": {"transcribe": 401}, "max_length": 448,
    }  # fmt: skip
    (tmp_path / "generation_config.json").write_text(json.dumps(values))

    config = load(tmp_path, CONFIG, tokenizer)

    assert config.alignment_heads == ((1, 0), (3, 1))
    assert (config.suppress_tokens, config.begin_suppress_tokens) == ((5, 6), (7,))
    assert (config.max_initial_timestamp_index, config.no_timestamps_token_id, config.eos_token_id) == (10, 999, 301)
    assert config.lang_to_id == {"<|en|>": 302}
    assert config.max_length == 448
    said = json.loads(config.to_json_string())
    assert said | {"eos_token_id": [301]} == values | {
        "decoder_start_token_id": tokenizer.sot, "prev_sot_token_id": tokenizer.startofprev,
        "pad_token_id": tokenizer.eot,
    }  # fmt: skip


def test_a_file_of_the_reference_that_suppresses_nothing_suppresses_nothing(tokenizer, tmp_path):
    transformers.GenerationConfig(max_length=20).save_pretrained(tmp_path)

    config = load(tmp_path, CONFIG, tokenizer)

    assert config.suppress_tokens == config.begin_suppress_tokens == ()
    assert config.eos_token_id == tokenizer.eot


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alignment_heads": [[4, 0]]}, r"alignment_heads must be \[layer < 4, head < 2\] pairs, got \[4, 0\]"),
        ({"alignment_heads": [[0, -1]]}, "alignment_heads must be"),
        ({"alignment_heads": [0, 1]}, "alignment_heads must be"),
        ({"alignment_heads": 3}, "alignment_heads must be a list, got 3"),
        ({"suppress_tokens": ["a"]}, "suppress_tokens must be token ids, got 'a'"),
        ({"eos_token_id": 1.5}, "eos_token_id must be token ids, got 1.5"),
        ({"eos_token_id": [1, 2]}, r"eos_token_id must be one token id, got \[1, 2\]"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
    ],
)
def test_a_wrong_value_is_refused_by_name(tokenizer, tmp_path, values, message):
    (tmp_path / "generation_config.json").write_text(json.dumps(values))

    with pytest.raises(ModelError, match=f"generation_config.json: {message}"):
        load(tmp_path, CONFIG, tokenizer)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "must hold a JSON object, got list")])
def test_a_file_that_is_none_is_refused(tokenizer, tmp_path, text, message):
    (tmp_path / "generation_config.json").write_text(text)

    with pytest.raises(ModelError, match=message):
        load(tmp_path, CONFIG, tokenizer)
