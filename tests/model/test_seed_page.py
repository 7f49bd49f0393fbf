"""The examples of the page that documents the reference: the import line changed, what they show is the same.

Each example is a function of the package whose names it imports; model names become the demo model's folder or a
checkpoint made here, and audio comes from a local file.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
import transformers

import model as ours
from model.files.hub import demo_folder
from model.types import SAMPLE_RATE

SPEECH = Path(__file__).parents[2] / "clients" / "demo" / "digits.flac"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo model in float32, as the checkpoints are that the examples name."""
    folder = tmp_path_factory.mktemp("checkpoint") / "demo"
    shutil.copytree(demo_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors", "*.py", "__pycache__"))
    transformers.WhisperForConditionalGeneration.from_pretrained(demo_folder(), dtype=torch.float32).save_pretrained(
        folder
    )
    return str(folder)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    """Some seconds of speech."""
    audio, rate = soundfile.read(SPEECH, dtype="float32")
    return soxr.resample(audio, rate, SAMPLE_RATE).astype(np.float32)[: 6 * SAMPLE_RATE]


@pytest.fixture(scope="module")
def recordings(sample) -> list[np.ndarray]:
    """Two recordings, one of them longer than a window."""
    return [np.tile(sample, 6), sample]


def same(example, *given: Any) -> Any:
    """Run an example with both packages, and return what both show."""
    shown, expected = example(ours, *given), example(transformers, *given)
    assert shown == expected
    return shown


def test_a_configuration_and_a_network_of_it():
    def example(package: ModuleType) -> Any:
        configuration = package.WhisperConfig()
        configuration.encoder_layers = configuration.decoder_layers = 1
        network = package.WhisperModel(configuration)
        configuration = network.config
        return configuration.d_model, configuration.vocab_size, sum(p.numel() for p in network.parameters())

    same(example)


def test_prefix_tokens_are_switched_from_one_language_to_another(name):
    def example(package: ModuleType) -> Any:
        tokenizer = package.WhisperTokenizerFast.from_pretrained(name, language="spanish")
        before = list(tokenizer.prefix_tokens)
        tokenizer.set_prefix_tokens(language="french")
        return before, list(tokenizer.prefix_tokens), tokenizer("one two").input_ids

    before, after, _ = same(example)
    assert before != after


def test_the_last_hidden_state_of_a_model(name, sample):
    def example(package: ModuleType) -> Any:
        network = package.WhisperModel.from_pretrained(name)
        feature_extractor = package.AutoFeatureExtractor.from_pretrained(name)
        inputs = feature_extractor(sample, return_tensors="pt")
        input_features = inputs.input_features
        decoder_input_ids = torch.tensor([[1, 1]]) * network.config.decoder_start_token_id
        with torch.no_grad():
            last_hidden_state = network(input_features, decoder_input_ids=decoder_input_ids).last_hidden_state
        return list(last_hidden_state.shape), [round(x, 3) for x in last_hidden_state[0, 0, :8].tolist()]

    shape, _ = same(example)
    assert shape[:2] == [1, 2]


def test_a_short_recording_is_transcribed(name, sample):
    def example(package: ModuleType) -> Any:
        processor = package.AutoProcessor.from_pretrained(name)
        network = package.WhisperForConditionalGeneration.from_pretrained(name)
        inputs = processor(sample, return_tensors="pt")
        # The page says `inputs`, which the reference itself does not take any more.
        features = "input_features" if package is transformers else "inputs"
        generated_ids = network.generate(**{features: inputs.input_features})
        return processor.batch_decode(generated_ids, skip_special_tokens=True)[0]

    assert same(example).split()


def test_a_static_cache_gives_the_same_text(name, sample):
    def example(package: ModuleType) -> Any:
        processor = package.AutoProcessor.from_pretrained(name)
        network = package.WhisperForConditionalGeneration.from_pretrained(
            name, dtype=torch.float32, attn_implementation="sdpa"
        )
        inputs = processor(sample, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        inputs = inputs.to(network.device, dtype=torch.float32)
        predicted_ids = network.generate(
            inputs, **({} if package is transformers else {"cache_implementation": "static"})
        )
        return processor.batch_decode(predicted_ids, skip_special_tokens=True)

    # The reference compiles its static cache, which takes a minute: it is compared without.
    assert same(example)[0].split()


def test_long_recordings_are_transcribed_and_their_progress_is_told(name, recordings):
    def example(package: ModuleType) -> Any:
        processor = package.AutoProcessor.from_pretrained(name)
        network = package.WhisperForConditionalGeneration.from_pretrained(name)
        inputs = processor(
            recordings,
            return_tensors="pt",
            truncation=False,
            padding="longest",
            return_attention_mask=True,
            sampling_rate=16_000,
        )
        inputs = inputs.to("cpu", torch.float32)
        seen = []
        generated_ids = network.generate(
            **inputs, return_timestamps=True, monitor_progress=lambda progress: seen.append(progress.tolist())
        )
        return processor.batch_decode(generated_ids, skip_special_tokens=True), seen

    (long, short), seen = same(example)
    assert len(long.split()) > len(short.split()) > 0
    assert len(seen) > 1


def test_an_assistant_drafts_and_changes_nothing(name, sample):
    def example(package: ModuleType) -> Any:
        processor = package.WhisperProcessor.from_pretrained(name)
        network = package.WhisperForConditionalGeneration.from_pretrained(name)
        input_features = processor(sample, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        if package is transformers:  # whose decoder alone fails as an assistant, since 5.0
            predicted_ids = network.generate(input_features)
        else:
            assistant_model = package.WhisperForCausalLM.from_pretrained(name)
            predicted_ids = network.generate(input_features, assistant_model=assistant_model)
        return processor.batch_decode(predicted_ids, skip_special_tokens=True)[0]

    assert same(example).split()


def test_audio_is_classified(sample, tmp_path):
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, classifier_proj_size=16, pad_token_id=0,
        bos_token_id=0, eos_token_id=0, decoder_start_token_id=0, id2label={0: "Afrikaans", 1: "Amharic", 2: "Arabic"},
    )  # fmt: skip
    transformers.WhisperForAudioClassification(config).save_pretrained(tmp_path)
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path)

    def example(package: ModuleType) -> Any:
        feature_extractor = package.AutoFeatureExtractor.from_pretrained(str(tmp_path))
        network = package.WhisperForAudioClassification.from_pretrained(str(tmp_path))
        inputs = feature_extractor(sample, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        input_features = inputs.input_features
        with torch.no_grad():
            logits = network(input_features).logits
        predicted_class_ids = torch.argmax(logits).item()
        return network.config.id2label[predicted_class_ids], [round(x, 3) for x in logits[0].tolist()]

    assert same(example)[0] in {"Afrikaans", "Amharic", "Arabic"}


@pytest.mark.parametrize("timestamps", [False, True])
def test_a_pipeline_makes_text_of_samples(name, sample, timestamps):
    def example(package: ModuleType) -> Any:
        processor = package.WhisperProcessor.from_pretrained(name)
        network = package.WhisperForConditionalGeneration.from_pretrained(name)
        if package is transformers:
            recognize = transformers.pipeline(
                "automatic-speech-recognition",
                model=network,
                tokenizer=processor.tokenizer,
                feature_extractor=processor.feature_extractor,
            )
        else:
            recognize = ours.pipeline(
                "automatic-speech-recognition",
                model=network,
                tokenizer=processor.tokenizer,
                feature_extractor=processor.feature_extractor,
            )
        return recognize({"raw": sample.copy(), "sampling_rate": SAMPLE_RATE}, return_timestamps=timestamps)

    assert same(example)["text"].split()


def test_a_pipeline_has_the_devices_of_the_reference(name, monkeypatch):
    for given in (None, -1, 0, "cpu", torch.device("cpu")):  # where there is no GPU, 0 is none
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert ours.pipeline(model=name, device=given).model.device == torch.device("cpu")
    moved = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: moved.append(device) or self)
    for given in (None, 0, 1, -1):
        ours.pipeline(model=name, device=given)
    assert list(map(str, moved)) == ["cuda:0", "cuda:0", "cuda:1", "cpu"]


def test_a_pipeline_takes_a_file(name, sample, tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, sample, SAMPLE_RATE, subtype="FLOAT")

    recognize = ours.pipeline(model=name, dtype=torch.float32)

    assert recognize(str(path)) == recognize(sample) == recognize(path.read_bytes())
    assert recognize([str(path), sample[:SAMPLE_RATE]])[0] == recognize(sample)


def test_a_pipeline_takes_a_tokenizer_or_an_extractor_and_the_other_of_the_model(name):
    tokenizer = ours.WhisperTokenizer.from_pretrained(name)
    extractor = ours.WhisperFeatureExtractor.from_pretrained(name)
    assert ours.pipeline(model=name, tokenizer=tokenizer).processor.tokenizer is tokenizer
    assert ours.pipeline(model=name, feature_extractor=extractor).processor.feature_extractor is extractor
    with pytest.raises(ValueError, match="needs its processor"):
        ours.pipeline(model=ours.pipeline(model=name).model, tokenizer=tokenizer)


def test_a_pipeline_refuses_other_tasks(name):
    with pytest.raises(ValueError, match="task must be automatic-speech-recognition, got 'translation'"):
        ours.pipeline("translation", model=name)
