"""The configuration against the reference's."""

import copy
import dataclasses

import pytest
import torch
import transformers

from model.config import ModelError, WhisperConfig
from model.config_rules import ACTIVATION_NAMES
from model.layers.activations import ACTIVATIONS


def test_fields_and_defaults_are_the_reference_s():
    reference, ours = transformers.WhisperConfig(), WhisperConfig()
    names = {field.name for field in dataclasses.fields(reference)} - {"transformers_version"}
    names |= {"num_labels", "output_attentions", "hidden_size", "num_hidden_layers", "num_attention_heads"}
    for name in names:
        expected = getattr(reference, name)
        got = getattr(ours, name)
        assert got == (list(expected) if isinstance(expected, tuple) else expected), name


def test_a_round_trip_keeps_what_this_version_does_not_know(tmp_path):
    config = WhisperConfig(d_model=64, encoder_attention_heads=4, decoder_attention_heads=4, hum=[1, {"a": 2}])
    config.save_pretrained(tmp_path)
    again = WhisperConfig.from_pretrained(tmp_path)
    assert again.hum == [1, {"a": 2}]
    assert again.to_dict() == config.to_dict()
    assert WhisperConfig.from_dict(config.to_dict()) == config
    assert dataclasses.replace(config, d_model=32).hum == [1, {"a": 2}]
    assert copy.deepcopy(config) == config


def test_the_reference_reads_ours_and_ours_the_reference_s(tmp_path):
    values = {"d_model": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 8, "num_labels": 4,
              "dtype": "float16", "mask_time_prob": 0.5, "suppress_tokens": [1, 2], "pad_token_id": None}  # fmt: skip
    WhisperConfig(**values).save_pretrained(tmp_path / "ours")
    reference = transformers.WhisperConfig.from_pretrained(tmp_path / "ours")
    reference.save_pretrained(tmp_path / "theirs")
    ours = WhisperConfig.from_pretrained(tmp_path / "theirs")
    for name, value in (values | {"dtype": torch.float16}).items():
        assert getattr(ours, name) == getattr(reference, name) == value, name
    assert ours.id2label == reference.id2label


def test_other_names_labels_and_later_changes_work_as_in_the_reference():
    config = WhisperConfig(hidden_size=64, num_attention_heads=4, decoder_attention_heads=4, num_labels=3)
    assert (config.d_model, config.encoder_attention_heads, config.hidden_size) == (64, 4, 64)
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    config.num_labels = 1
    assert config.id2label == {0: "LABEL_0"}
    config.torch_dtype = "bfloat16"
    assert config.dtype is torch.bfloat16
    config.forced_decoder_ids = None
    assert config.forced_decoder_ids is None
    assert "forced_decoder_ids" in config.to_dict()
    config.apply_spec_augment = True
    assert config.to_dict()["apply_spec_augment"] is True
    with pytest.raises(AttributeError, match="has no field 'nothing'"):
        _ = config.nothing
    assert WhisperConfig(id2label={"0": "a", "1": "b", "2": "c"}).num_labels == 3


def test_null_stands_for_a_default_only_where_a_field_cannot_be_null():
    config = WhisperConfig.from_dict({"encoder_layers": None, "pad_token_id": None, "begin_suppress_tokens": None})
    assert (config.encoder_layers, config.pad_token_id, config.begin_suppress_tokens) == (4, None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder_layers": 0}, "encoder_layers must be a whole number of at least 1, got 0"),
        ({"d_model": 384.0}, "d_model must be a whole number of at least 1, got 384.0"),
        ({"d_model": 100}, "d_model must be divisible by encoder_attention_heads, got 100 and 6"),
        ({"dropout": 1.5}, "dropout must be a number from 0 to 1, got 1.5"),
        ({"decoder_layerdrop": "much"}, "decoder_layerdrop must be a number from 0 to 1, got 'much'"),
        ({"init_std": -1}, "init_std must be a number of at least 0, got -1"),
        ({"use_cache": 1}, "use_cache must be true or false, got 1"),
        ({"activation_function": "prelu"}, "activation_function must be one of gelu, .*, got 'prelu'"),
        ({"attn_implementation": "flash_attention_2"}, "attn_implementation must be sdpa or eager"),
        ({"dtype": "float99"}, "dtype must be a type of torch such as float16, got 'float99'"),
        ({"id2label": ["a"]}, r"id2label must name the labels by number, got \['a'\]"),
        ({"mask_time_min_masks": -1}, "mask_time_min_masks must be a whole number of at least 0, got -1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(values, message):
    with pytest.raises(ModelError, match=message):
        WhisperConfig(**values)
    if "d_model" not in values:
        config = WhisperConfig()
        with pytest.raises(ModelError, match=message):
            setattr(config, *next(iter(values.items())))


def test_activations_equal_the_reference_s():
    assert tuple(sorted(ACTIVATIONS)) == ACTIVATION_NAMES
    x = torch.linspace(-12, 12, 301)
    known = transformers.activations.ACT2FN
    assert set(known) - set(ACTIVATIONS) == {"prelu", "xielu"}
    for name, function in ACTIVATIONS.items():
        torch.testing.assert_close(
            function(x), known[name](x), rtol=1e-5, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_changes_that_are_no_fields_are_handed_back(tmp_path):
    WhisperConfig(d_model=384).save_pretrained(save_directory=tmp_path)
    theirs, their_rest = transformers.WhisperConfig.from_pretrained(
        pretrained_model_name_or_path=tmp_path, return_unused_kwargs=True, dropout=0.5, foo=1
    )
    ours, rest = WhisperConfig.from_pretrained(
        pretrained_model_name_or_path=tmp_path, return_unused_kwargs=True, dropout=0.5, foo=1
    )

    assert rest == their_rest == {"foo": 1}
    assert ours.dropout == theirs.dropout == 0.5
    assert not hasattr(ours, "foo")
    assert WhisperConfig.from_dict(config_dict=ours.to_dict(), return_unused_kwargs=True, foo=1)[1] == {"foo": 1}


def test_numbers_of_labels_follow_their_names():
    assert WhisperConfig(id2label={0: "a", 1: "b", 2: "c"}).label2id == {"a": 0, "b": 1, "c": 2}


def test_pushing_a_configuration_is_refused(tmp_path):
    with pytest.raises(ValueError, match="push_to_hub must be False"):
        WhisperConfig().save_pretrained(tmp_path, push_to_hub=True)
