"""What generation is asked for: fields, files both ways with transformers, and what is refused."""

import json

import pytest
import transformers

from model.config import ModelError
from model.generation.fields import GenerationFields
from model.generation_config import GenerationConfig

WHISPER = {
    "alignment_heads": [[2, 2], [3, 0]], "begin_suppress_tokens": [220, 50257], "bos_token_id": 50257,
    "decoder_start_token_id": 50258, "eos_token_id": 50257, "forced_decoder_ids": [[1, None], [2, 50359]],
    "is_multilingual": True, "lang_to_id": {"<|en|>": 50259}, "max_initial_timestamp_index": None, "max_length": 448,
    "no_timestamps_token_id": 50363, "pad_token_id": 50257, "prev_sot_token_id": 50361,
    "return_timestamps": False, "suppress_tokens": [], "task_to_id": {"transcribe": 50359},
    "transformers_version": "4.31.0.dev0",
}  # fmt: skip
"""As released checkpoints have it, shortened."""


def test_every_field_of_the_reference_is_there_and_none():
    ours, theirs = GenerationConfig(), transformers.GenerationConfig()
    metadata = {"_commit_hash", "_from_model_config", "_original_object_hash", "transformers_version"}

    assert set(GenerationFields.__annotations__) == {name for name in vars(theirs) if name not in metadata}
    assert not any(value is not None for value in ours.to_dict().values())
    assert not hasattr(ours, "no_timestamps_token_id")
    assert repr(ours) == "GenerationConfig {}\n"


def test_defaults_are_the_reference_s():
    theirs = transformers.GenerationConfig._get_default_generation_params()
    assert GenerationConfig.defaults() == {name: value for name, value in theirs.items() if value is not None}


def test_a_file_of_the_reference_loads_with_every_field_and_back(tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps(WHISPER))

    config = GenerationConfig.from_pretrained(tmp_path)

    assert {name: getattr(config, name) for name in WHISPER} == WHISPER
    config.save_pretrained(tmp_path / "new")
    said = json.loads((tmp_path / "new" / "generation_config.json").read_text())
    assert said == WHISPER
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path / "new")
    assert theirs == transformers.GenerationConfig.from_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path / "new") == config


def test_what_the_reference_saves_is_what_we_read(tmp_path):
    theirs = transformers.GenerationConfig(
        num_beams=3, early_stopping=True, length_penalty=0.7, max_new_tokens=9, mine=4
    )
    theirs.save_pretrained(tmp_path)

    ours = GenerationConfig.from_pretrained(tmp_path, num_beams=4)

    assert (ours.num_beams, ours.early_stopping, ours.length_penalty, ours.max_new_tokens) == (4, True, 0.7, 9)
    assert ours.mine == 4


def test_biased_sequences_survive_the_file(tmp_path):
    GenerationConfig(sequence_bias={(3, 4): -2.0}).save_pretrained(tmp_path, "other.json")

    assert transformers.GenerationConfig.from_pretrained(tmp_path, "other.json").sequence_bias == [[[3, 4], -2.0]]


def test_a_model_s_configuration_gives_its_decoding_fields_only():
    network = transformers.WhisperConfig(suppress_tokens=[1, 2], output_attentions=True)

    ours = GenerationConfig.from_model_config(network.to_dict())

    assert (ours.suppress_tokens, ours.bos_token_id, ours.decoder_start_token_id) == ([1, 2], 50256, 50257)
    assert ours.return_dict_in_generate is True
    assert ours._from_model_config is True
    assert not hasattr(ours, "d_model")
    theirs = transformers.GenerationConfig.from_model_config(network)
    assert ours.to_json_string(ignore_metadata=True) == theirs.to_json_string(ignore_metadata=True)


def test_updating_sets_fields_and_returns_the_rest():
    config = GenerationConfig(num_beams=2, mine=1)

    assert config.update(num_beams=3, mine=2, other=5) == {"other": 5}
    assert (config.num_beams, config.mine, hasattr(config, "other")) == (3, 2, False)
    assert config.update(num_beams=4, top_k=7, defaults_only=True) == {"num_beams": 4}
    assert (config.num_beams, config.top_k) == (3, 7)
    assert config.update(other=5, allow_custom_entries=True) == {}
    assert config.other == 5
    assert GenerationConfig.from_dict({"top_k": 3}, top_k=4, return_unused_kwargs=True)[0].top_k == 4


def test_configurations_are_equal_that_ask_for_the_same():
    first, second = GenerationConfig(num_beams=2, transformers_version="1"), GenerationConfig(num_beams=2)

    assert first == second
    assert hash(first) == hash(second)
    assert first != GenerationConfig(num_beams=3)
    assert first != 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"max_length": -3}, "max_length must be at least 1, got -3"),
        ({"min_length": -1}, "min_length must be at least 0, got -1"),
        ({"top_k": -1}, "top_k must be at least 0, got -1"),
        ({"min_new_tokens": -1}, "min_new_tokens must be at least 0, got -1"),
        ({"num_return_sequences": 2}, "num_return_sequences must be 1 for greedy decoding"),
        ({"num_return_sequences": 3, "num_beams": 2}, "num_return_sequences must be at most num_beams, 2, got 3"),
        ({"do_sample": True, "temperature": 0.0}, "temperature must be above 0 when sampling, got 0.0"),
        ({"early_stopping": "maybe"}, "early_stopping must be True, False or 'never', got 'maybe'"),
        ({"cache_implementation": "clever"}, "cache_implementation must be one of .*, got 'clever'"),
        ({"num_assistant_tokens_schedule": "x"}, "num_assistant_tokens_schedule must be one of constant"),
        ({"logits_processor": []}, r"logits_processor is an argument of generate\(\)"),
    ],
)
def test_what_no_generation_can_honour_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**values)
    config = GenerationConfig()
    with pytest.raises(ValueError, match=message):
        config.update(**values, allow_custom_entries=True)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0.5}, {"top_k": 3}, {"length_penalty": 2.0}, {"early_stopping": "never"},
        {"output_scores": True}, {"use_cache": False, "cache_implementation": "static"}, {"pad_token_id": -1},
    ],
)  # fmt: skip
def test_a_field_that_would_not_be_read_is_not_saved(values, tmp_path):
    config, theirs = GenerationConfig(**values), transformers.GenerationConfig(**values)

    with pytest.raises(ValueError, match=next(reversed(values))):
        config.save_pretrained(tmp_path)
    with pytest.raises(ValueError):
        theirs.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "must hold a JSON object, got list")])
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "generation_config.json").write_text(text)

    with pytest.raises(ModelError, match=message):
        GenerationConfig.from_pretrained(tmp_path)


def test_a_folder_without_the_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=f"no generation_config.json in {tmp_path}"):
        GenerationConfig.from_pretrained(tmp_path)
