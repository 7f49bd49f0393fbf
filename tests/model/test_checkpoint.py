"""Loading: every layout gives the same network, and what is wrong with a file is said by name."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import load_checkpoint, load_for_recognition
from model.config import ModelError
from model.files.hub import demo_folder
from tests.model.checkpoints import (
    TEXT_TOKENS,
    TINY_VOCABULARY,
    edit_json,
    openai_state,
    random_whisper,
    save,
    tiny_tokenizer,
)


def logits_of(model):
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, model.config.num_mel_bins, 2 * model.config.max_source_positions, generator=generator)
    with torch.inference_mode():
        tokens = torch.tensor([[3, 290, 1, 1, 300, 7]])
        return model(features.to(model.dtype), decoder_input_ids=tokens).logits.float()


@pytest.fixture(scope="module")
def expected(small_folder):
    return logits_of(load_checkpoint(str(small_folder)).model)


def rewrite(folder, change):
    """Replace the folder's tensors by what `change` makes of them."""
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(change(tensors), folder / "model.safetensors")


def test_everything_of_a_folder_is_loaded(small_folder, small_reference):
    checkpoint = load_checkpoint(str(small_folder))

    assert checkpoint.name == str(small_folder)
    assert checkpoint.path == small_folder
    assert checkpoint.config.d_model == 32
    assert checkpoint.n_mels == checkpoint.features.feature_size == 80
    assert checkpoint.tokenizer.eot == checkpoint.generation.eos_token_id == TEXT_TOKENS
    assert checkpoint.notice == ""
    assert checkpoint.streamer == {}
    assert not checkpoint.model.training
    assert not any(weight.requires_grad for weight in checkpoint.model.parameters())
    assert {weight.device.type for weight in checkpoint.model.state_dict().values()} == {"cpu"}
    reference = small_reference.state_dict()
    for name, weight in checkpoint.model.state_dict().items():
        assert torch.equal(weight, reference[name]), name


def test_shards_equal_one_file(small_reference, expected, tmp_path):
    save(small_reference, tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2

    assert torch.equal(logits_of(load_checkpoint(str(tmp_path)).model), expected)


def test_an_openai_file_equals_the_folder(tmp_path):
    reference = random_whisper(vocab_size=51865, d_model=8, encoder_attention_heads=2, decoder_attention_heads=2)
    torch.save(openai_state(reference), tmp_path / "some.pt")
    save(reference, tmp_path / "folder")

    checkpoint = load_checkpoint(str(tmp_path / "some.pt"))

    assert torch.equal(logits_of(checkpoint.model), logits_of(load_checkpoint(str(tmp_path / "folder")).model))
    assert checkpoint.tokenizer.vocab_size == 51865
    assert checkpoint.config.eos_token_id == checkpoint.generation.eos_token_id == 50257
    assert checkpoint.generation.alignment_heads == ((1, 0), (1, 1))


def test_an_openai_file_of_large_v3_knows_cantonese(tmp_path):
    reference = random_whisper(vocab_size=51866, d_model=8, num_mel_bins=128, encoder_attention_heads=2,
                               decoder_attention_heads=2)  # fmt: skip
    torch.save(openai_state(reference), tmp_path / "large-v3.pt")

    checkpoint = load_checkpoint(str(tmp_path / "large-v3.pt"))

    assert checkpoint.tokenizer.languages["yue"] == 50358
    assert checkpoint.generation.no_timestamps_token_id == 50364
    assert checkpoint.n_mels == checkpoint.features.feature_size == 128


def test_an_openai_file_in_the_old_format_is_read(tmp_path):
    reference = random_whisper(vocab_size=51865, d_model=8, encoder_attention_heads=2, decoder_attention_heads=2)
    torch.save(openai_state(reference), tmp_path / "old.pt", _use_new_zipfile_serialization=False)

    assert load_checkpoint(str(tmp_path / "old.pt")).config.d_model == 8


def test_an_english_only_openai_file_is_refused_with_advice(tmp_path):
    torch.save(openai_state(random_whisper(vocab_size=51864, d_model=4, encoder_attention_heads=2,
                                           decoder_attention_heads=2)), tmp_path / "base.en.pt")  # fmt: skip

    with pytest.raises(ModelError, match=r"base.en.pt: .* got 51864; take .* openai/whisper-base.en"):
        load_checkpoint(str(tmp_path / "base.en.pt"))


def test_the_demo_is_loaded_by_its_name():
    checkpoint = load_checkpoint("demo")

    assert (checkpoint.name, checkpoint.path) == ("demo", demo_folder())
    assert checkpoint.config.vocab_size == checkpoint.tokenizer.vocab_size == 51865


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_half_precision_files_are_cast_to_what_is_asked(folder, expected, dtype):
    rewrite(folder, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})

    model = load_checkpoint(str(folder), dtype=dtype).model

    assert {weight.dtype for weight in model.state_dict().values()} == {dtype}
    torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=0.02 if dtype == torch.float32 else 0.5)


def test_weights_of_the_asked_type_are_mapped_not_copied(folder):
    model = load_checkpoint(str(folder)).model

    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    starts = [int(line.split("-", maxsplit=1)[0], 16) for line in lines]
    ends = [int(line.split("-")[1].split()[0], 16) for line in lines]
    address = model.model.decoder.embed_tokens.weight.data_ptr()

    assert any(start <= address < end for start, end in zip(starts, ends, strict=True))


def test_tensors_without_the_models_prefix_are_understood(folder, expected):
    rewrite(folder, lambda tensors: {name.removeprefix("model."): tensor for name, tensor in tensors.items()})

    assert torch.equal(logits_of(load_checkpoint(str(folder)).model), expected)


def test_a_tied_head_may_be_in_the_file_or_stand_for_the_embedding(folder, expected):
    embedding = "model.decoder.embed_tokens.weight"
    rewrite(folder, lambda tensors: tensors | {"proj_out.weight": tensors[embedding].clone()})
    assert torch.equal(logits_of(load_checkpoint(str(folder)).model), expected)

    rewrite(folder, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != embedding})
    assert torch.equal(logits_of(load_checkpoint(str(folder)).model), expected)


def test_an_untied_head_is_refused(folder):
    rewrite(folder, lambda tensors: tensors | {"proj_out.weight": tensors["model.decoder.embed_tokens.weight"] + 1})

    with pytest.raises(ModelError, match=r"proj_out.weight must equal model.decoder.embed_tokens.weight"):
        load_checkpoint(str(folder))


def test_the_encoders_positions_may_be_left_out(folder, expected):
    positions = "model.encoder.embed_positions.weight"
    rewrite(folder, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != positions})

    torch.testing.assert_close(logits_of(load_checkpoint(str(folder)).model), expected, rtol=0, atol=1e-5)


def test_a_missing_tensor_is_named(folder):
    name = "model.decoder.layers.1.fc2.bias"
    rewrite(folder, lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name})

    with pytest.raises(ModelError, match=f"weights: {name} is missing"):
        load_checkpoint(str(folder))


def test_an_unknown_tensor_is_named(folder):
    rewrite(folder, lambda tensors: tensors | {"model.decoder.layers.1.lora.weight": torch.zeros(3)})

    with pytest.raises(ModelError, match=r"model.decoder.layers.1.lora.weight is not part of a Whisper"):
        load_checkpoint(str(folder))


def test_a_tensor_of_another_shape_is_named(folder):
    edit_json(folder / "config.json", max_target_positions=32)

    with pytest.raises(
        ModelError, match=r"embed_positions.weight must have shape \(32, 32\) by config.json, got \(64, 32\)"
    ):
        load_checkpoint(str(folder))


def test_a_tensor_of_whole_numbers_is_refused(folder):
    rewrite(folder, lambda tensors: tensors | {"model.encoder.conv1.bias": torch.zeros(32, dtype=torch.int8)})

    with pytest.raises(ModelError, match=r"model.encoder.conv1.bias must be a floating-point tensor, got torch.int8"):
        load_checkpoint(str(folder))


def test_a_torn_file_is_refused_by_name(folder):
    contents = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(contents[: len(contents) // 2])

    with pytest.raises(ModelError, match=r"cannot read .*model.safetensors"):
        load_checkpoint(str(folder))


def test_a_missing_shard_is_named(small_reference, tmp_path):
    save(small_reference, tmp_path, max_shard_size="100KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    shard.unlink()

    with pytest.raises(ModelError, match=f"names {shard.name}, which is missing"):
        load_checkpoint(str(tmp_path))


def test_an_index_may_not_name_files_elsewhere(folder):
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')

    with pytest.raises(ModelError, match=r"must name files beside it, got '../model.safetensors'"):
        load_checkpoint(str(folder))


def test_pickled_weights_are_read_if_they_are_only_tensors(folder, expected):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert torch.equal(logits_of(load_checkpoint(str(folder)).model), expected)


class Trap:
    """Unpickling this makes a folder."""

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "trap.pt"])
def test_pickled_code_is_not_run(folder, name):
    Trap.path = str(folder / "sprung")
    torch.save({"a": Trap()}, folder / name)
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match=f"{name} holds more than tensors.*convert it to safetensors"):
        load_checkpoint(str(folder / name if name.endswith(".pt") else folder))
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("torn.pt", b"\x80\x02", "cannot read .*torn.pt"),
        ("empty.pt", b"", "cannot read .*empty.pt"),
        ("model.safetensors", b"", "a file must be an openai .pt; of any other layout give the folder"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path, name, contents, message):
    (tmp_path / name).write_bytes(contents)

    with pytest.raises(ModelError, match=message):
        load_checkpoint(str(tmp_path / name))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"weights": torch.zeros(1)}, "is not an openai checkpoint: it has no dims and model_state_dict"),
        ({"dims": {"n_mels": 80}, "model_state_dict": {}}, "missing n_audio_ctx, n_audio_head"),
        (torch.zeros(3), "must hold a dictionary, got Tensor"),
    ],
)
def test_another_pt_file_is_refused(tmp_path, contents, message):
    torch.save(contents, tmp_path / "other.pt")

    with pytest.raises(ModelError, match=message):
        load_checkpoint(str(tmp_path / "other.pt"))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"holds no weights: model.safetensors or"):
        load_checkpoint(str(folder))


def test_a_preprocessor_of_another_model_is_refused(folder):
    edit_json(folder / "preprocessor_config.json", feature_size=128)

    with pytest.raises(ModelError, match=r"num_mel_bins of config.json, 80, got 128"):
        load_checkpoint(str(folder))


def test_a_vocabulary_larger_than_the_network_is_refused(folder):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["extra"])
    tokenizer.save(str(folder / "tokenizer.json"))

    with pytest.raises(
        ModelError, match=f"{TINY_VOCABULARY + 1} tokens, .* vocab_size of config.json, {TINY_VOCABULARY}"
    ):
        load_checkpoint(str(folder))


def test_the_preprocessor_may_be_left_out(folder):
    (folder / "preprocessor_config.json").unlink()

    assert load_checkpoint(str(folder)).features.feature_size == 80


def test_what_the_card_says_to_the_streamer_is_kept(folder):
    edit_json(folder / "config.json", streamer={"encoder_context": "dynamic"})

    assert load_checkpoint(str(folder)).streamer == {"encoder_context": "dynamic"}


def test_loading_does_not_depend_on_random_state(small_folder):
    before = torch.random.get_rng_state()
    load_checkpoint(str(small_folder))

    assert torch.equal(before, torch.random.get_rng_state())


def test_the_features_fit_the_encoder(small_folder):
    checkpoint = load_checkpoint(str(small_folder))
    features = checkpoint.features(np.zeros(16000, np.float32), max_length=16000, return_tensors="pt").input_features

    assert checkpoint.model.model.encoder.encode(features).shape == (1, 50, 32)
    assert math.isfinite(float(checkpoint.model.model.encoder.encode(features).sum()))


def test_the_config_survives_a_round_trip(small_folder):
    config = load_checkpoint(str(small_folder)).config
    original = json.loads((small_folder / "config.json").read_text())

    assert {key: value for key, value in config.to_dict().items() if key in original} == original


def test_a_model_that_hears_less_than_30_s_at_once_is_refused_by_name(small_folder):
    with pytest.raises(ModelError, match=r"max_source_positions must be 1500, windows of 30 s, got 50"):
        load_for_recognition(str(small_folder), "cpu", "float32", 1, offline=True)
