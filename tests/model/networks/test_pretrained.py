"""Networks written by the reference and read by ours, and the other way round."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import model
from model.config import ModelError
from tests.model.checkpoints import random_whisper

NAMES = ("WhisperModel", "WhisperForConditionalGeneration", "WhisperForCausalLM", "WhisperForAudioClassification")
SIZES = {
    "vocab_size": 60, "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_source_positions": 10,
    "max_target_positions": 12, "pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 2,
    "classifier_proj_size": 8, "use_weighted_layer_sum": True, "init_std": 0.3,
    "id2label": {0: "en", 1: "de", 2: "fr"}, "label2id": {"en": 0, "de": 1, "fr": 2},
}  # fmt: skip


def theirs(name, **changes):
    torch.manual_seed(0)
    return getattr(transformers, name)(transformers.WhisperConfig(**SIZES | changes)).eval()


def ours(name, **changes):
    torch.manual_seed(1)
    return getattr(model, name)(model.WhisperConfig(**SIZES | changes)).eval()


def results(network, dtype=torch.float32):
    features = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(3)).to(dtype)
    tokens = torch.tensor([[2, 7, 9], [2, 30, 8]])
    inputs = {"input_features": features, "decoder_input_ids": tokens}
    if "Causal" in type(network).__name__:
        inputs = {"input_ids": tokens}
    elif "Classification" in type(network).__name__:
        inputs = {"input_features": features}
    with torch.no_grad():
        return network(**inputs)[0]


@pytest.mark.parametrize("name", NAMES)
def test_ours_reads_what_the_reference_wrote(name, tmp_path):
    reference = theirs(name)
    reference.save_pretrained(tmp_path)
    network, info = getattr(model, name).from_pretrained(tmp_path, output_loading_info=True)

    assert not any(info.values())
    assert not network.training
    assert network.config.id2label == {0: "en", 1: "de", 2: "fr"}
    assert set(network.state_dict()) == set(reference.state_dict())
    torch.testing.assert_close(results(network), results(reference), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shard", ["50GB", "5KB"])
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_reads_what_ours_wrote(name, shard, tmp_path):
    network = ours(name)
    network.save_pretrained(tmp_path, max_shard_size=shard)
    reference, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)

    assert not any(info.values())
    assert reference.config.architectures == [name]
    assert (
        len(list(tmp_path.glob("*.safetensors"))) > 1 if shard == "5KB" else (tmp_path / "model.safetensors").is_file()
    )
    assert (tmp_path / "generation_config.json").exists() == ("For" in name and "Class" not in name)
    torch.testing.assert_close(results(network), results(reference), rtol=0, atol=1e-5)
    again = getattr(model, name).from_pretrained(tmp_path)
    assert again.config == network.config or again.config.name_or_path
    assert torch.equal(results(again), results(network))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_kept_both_ways(name, dtype, tmp_path):
    theirs(name).to(dtype).save_pretrained(tmp_path / "theirs")
    network = getattr(model, name).from_pretrained(tmp_path / "theirs")
    assert network.dtype == dtype == network.config.dtype
    network.save_pretrained(tmp_path / "ours")
    reference = getattr(transformers, name).from_pretrained(tmp_path / "ours")
    assert reference.dtype == dtype
    for key, tensor in reference.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key]), key
    wide = getattr(model, name).from_pretrained(tmp_path / "ours", dtype="float32")
    torch.testing.assert_close(results(network, dtype).float(), results(wide), rtol=0, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_parts_of_a_whole_model_load_as_the_reference_loads_them(name, tmp_path, caplog):
    whole = theirs("WhisperForConditionalGeneration")
    whole.save_pretrained(tmp_path)
    _, expected = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    network, info = getattr(model, name).from_pretrained(tmp_path, output_loading_info=True)

    assert set(info["missing_keys"]) == set(expected["missing_keys"])
    assert set(info["unexpected_keys"]) == set(expected["unexpected_keys"])
    assert ("start at random" in caplog.text) == bool(info["missing_keys"])
    if "Class" in name:
        shares = torch.full((3,), 1 / 3)
        assert torch.equal(network.layer_weights.detach(), shares)
        assert 0.2 < network.projector.weight.std() < 0.4
        assert not network.classifier.bias.any()
    else:
        reference = getattr(transformers, name).from_pretrained(tmp_path)
        torch.testing.assert_close(results(network), results(reference), rtol=0, atol=1e-5)


def test_the_bare_model_s_weights_make_a_whole_one(tmp_path):
    bare = theirs("WhisperModel")
    bare.save_pretrained(tmp_path)
    network = model.WhisperForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(network.proj_out.weight, bare.decoder.embed_tokens.weight)
    assert network.proj_out.weight is network.model.decoder.embed_tokens.weight


def test_an_untied_head_has_weights_of_its_own_both_ways(tmp_path):
    reference = theirs("WhisperForConditionalGeneration", tie_word_embeddings=False)
    reference.save_pretrained(tmp_path / "theirs")
    network = model.WhisperForConditionalGeneration.from_pretrained(tmp_path / "theirs")
    assert not torch.equal(network.proj_out.weight, network.model.decoder.embed_tokens.weight)
    torch.testing.assert_close(results(network), results(reference), rtol=0, atol=1e-5)
    network.save_pretrained(tmp_path / "ours")
    with safe_open(tmp_path / "ours" / "model.safetensors", "pt") as file:
        assert "proj_out.weight" in file.keys()  # noqa: SIM118
    again = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "ours")
    torch.testing.assert_close(results(again), results(network), rtol=0, atol=1e-5)


def test_a_classifier_of_other_labels_can_be_started_from_one(tmp_path):
    theirs("WhisperForAudioClassification").save_pretrained(tmp_path)
    kind = model.WhisperForAudioClassification
    with pytest.raises(ModelError, match=r"classifier.bias must have shape \(5,\) by config.json, got \(3,\)"):
        kind.from_pretrained(tmp_path, num_labels=5)
    network, info = kind.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True)
    assert {name for name, *_ in info["mismatched_keys"]} == {"classifier.weight", "classifier.bias"}
    assert network.classifier.weight.shape == (5, 8)
    assert network.config.num_labels == 5


def test_the_generation_configuration_comes_along(tmp_path):
    network = ours("WhisperForConditionalGeneration")
    network.generation_config.num_beams = 3
    network.save_pretrained(tmp_path)
    assert model.WhisperForConditionalGeneration.from_pretrained(tmp_path).generation_config.num_beams == 3
    (tmp_path / "generation_config.json").unlink()
    fresh = model.WhisperForConditionalGeneration.from_pretrained(tmp_path).generation_config
    assert fresh.num_beams in (None, 1)
    assert fresh.decoder_start_token_id == 2
    given = model.GenerationConfig(num_beams=5)
    assert (
        model.WhisperForConditionalGeneration.from_pretrained(tmp_path, generation_config=given).generation_config
        is given
    )


def test_saving_into_the_folder_it_was_mapped_from_keeps_the_weights(tmp_path):
    ours("WhisperModel").save_pretrained(tmp_path)
    network = model.WhisperModel.from_pretrained(tmp_path)
    before = results(network)
    network.save_pretrained(tmp_path, max_shard_size="5KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert torch.equal(results(network), before)
    assert torch.equal(results(model.WhisperModel.from_pretrained(tmp_path)), before)
    network.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("model*")) == ["model.safetensors"]


def test_training_a_mapped_network_leaves_its_file_alone(tmp_path):
    ours("WhisperModel").save_pretrained(tmp_path)
    contents = (tmp_path / "model.safetensors").read_bytes()
    network = model.WhisperModel.from_pretrained(tmp_path)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1)
    assert (tmp_path / "model.safetensors").read_bytes() == contents


def damaged(tmp_path, change):
    ours("WhisperModel").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-100], r"model.safetensors: the file ends at byte \d+, before the end of \w+\.[\w.]+"),
        (lambda data: data[:50], r"model.safetensors: it is no safetensors file, or ends within its header"),
        (lambda data: b"", r"model.safetensors: it is no safetensors file, or ends within"),
        (lambda data: b"<!doctype html>" * 99, r"model.safetensors: it is no safetensors file"),
        (lambda data: data.replace(b'"F32"', b'"F16"', 1), r"of shape \(\d.*\) must have \d+ bytes, got \d+"),
        (lambda data: data.replace(b'"F32"', b'"Q32"', 1), r"has type Q32, which must be one of F64, F32"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_tensor_s(change, message, tmp_path):
    path = damaged(tmp_path, change)
    with pytest.raises(ModelError, match=message) as caught:
        model.WhisperModel.from_pretrained(tmp_path)
    assert str(path) in str(caught.value)


def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(tmp_path):
    ours("WhisperModel").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    name = "decoder.layers.0.fc1.bias"
    for change, message in (
        ({name: None}, rf"{tmp_path}: weights: {name} is missing"),
        ({"decoder.layers.0.lora": torch.zeros(1)}, "decoder.layers.0.lora is not part of a Whisper"),
        ({"adapter": torch.zeros(1)}, "adapter is not part of a Whisper"),
        ({name: torch.zeros(3)}, rf"{name} must have shape \(16,\) by config.json, got \(3,\)"),
        ({name: torch.zeros(16, dtype=torch.int32)}, f"{name} must be a floating-point tensor, got torch.int32"),
    ):
        save_file({k: v for k, v in (tensors | change).items() if v is not None}, path)
        with pytest.raises(ModelError, match=message):
            model.WhisperModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization_config": object()}, "does not support quantization_config"),
        ({"colour": 3}, "no argument 'colour'"),
        ({"revision": "v2"}, "loads the revision main only, got 'v2'"),
    ],
)
def test_an_argument_that_is_not_supported_is_named(arguments, message, tmp_path):
    ours("WhisperModel").config.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=message):
        model.WhisperModel.from_pretrained(tmp_path, **arguments)


def test_arguments_of_the_reference_s_examples_are_taken(tmp_path):
    ours("WhisperForConditionalGeneration").save_pretrained(tmp_path)
    network = model.WhisperForConditionalGeneration.from_pretrained(
        str(tmp_path), torch_dtype=torch.float16, device_map="cpu", attn_implementation="eager",
        low_cpu_mem_usage=True, use_safetensors=True, dropout=0.25,
    )  # fmt: skip
    assert (network.dtype, network.device.type, network.config.dropout) == (torch.float16, "cpu", 0.25)
    assert network.config.attn_implementation == "eager"
    assert json.loads((tmp_path / "config.json").read_text())["dropout"] == 0.0
    with pytest.raises(ValueError, match="push_to_hub is not supported"):
        network.save_pretrained(tmp_path, push_to_hub=True)


MEASURE = """
import resource, sys, torch
from pathlib import Path
import model
from model.whisper import WhisperForConditionalGeneration as Network
torch.set_num_threads(1)

def anonymous_and_mapped():
    return int(next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM")).split()[1])

def read():
    return int(next(l for l in Path("/proc/self/io").read_text().splitlines() if l.startswith("rchar")).split()[1])

def load(folder):
    network = Network.from_pretrained(folder, dtype=sys.argv[3])
    total = sum(float(w.detach().sum()) for w in network.parameters())  # touches every page
    return network

load(sys.argv[1])  # what code is needed for it is there from now on
Path("/proc/self/clear_refs").write_text("5")
before, bytes_before = anonymous_and_mapped(), read()
network = load(sys.argv[2])
print(anonymous_and_mapped() - before, read() - bytes_before, flush=True)
"""


@pytest.mark.parametrize(("dtype", "copies"), [("float32", 0.1), ("bfloat16", 1.1)])
def test_loading_takes_the_memory_of_the_weights_once_and_reads_the_file_once(dtype, copies, tmp_path, small_folder):
    """Peak of resident memory, mapped pages included, and bytes read by calls: mapped ones are not among them."""
    config = model.WhisperConfig()
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        shapes = model.WhisperModel(config).state_dict()
    save_file({name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}, tmp_path / "model.safetensors")
    file = (tmp_path / "model.safetensors").stat().st_size
    weights = file if dtype == "float32" else file // 2
    assert file > 150_000_000
    command = [sys.executable, "-c", MEASURE, str(small_folder), str(tmp_path), dtype]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50).stdout
    peak, read = (int(word) for word in said.split())
    assert peak * 1024 <= 1.1 * weights
    assert read <= copies * file


def test_the_reference_fixture_loads_with_its_vocabulary(small_folder):
    network = model.WhisperForConditionalGeneration.from_pretrained(small_folder)
    assert torch.equal(network.proj_out.weight, random_whisper().proj_out.weight)
