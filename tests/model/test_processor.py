"""The processor against the reference's: calls, files both ways, decoding."""

import json

import numpy as np
import pytest
import torch
import transformers

from model.config import ModelError
from model.features import WhisperFeatureExtractor
from model.processor import WhisperProcessor
from model.tokenizer import WhisperTokenizer
from tests.model.tokenizer_folders import write_vocabulary

AUDIO = [np.sin(np.arange(n) / 9.0).astype(np.float32) for n in (9000, 16000)]
RATE = {"sampling_rate": 16000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_vocabulary(tmp_path_factory.mktemp("processor"), layout="unified")
    transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pair(folder):
    return WhisperProcessor.from_pretrained(folder), transformers.WhisperProcessor.from_pretrained(folder)


def assert_equal(ours, reference):
    assert set(ours) == set(reference)
    for name, value in reference.items():
        if name == "input_features":
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=5e-5)
        else:
            np.testing.assert_array_equal(ours[name], value)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((AUDIO,), {}),
        ((AUDIO[0],), {"return_attention_mask": True, "return_tensors": "pt"}),
        ((AUDIO, False), {"padding": "longest", "return_tensors": "np"}),
        ((), {"audio": AUDIO, "text": ["one", "two"], "return_tensors": "np"}),
        ((AUDIO[0],), {"text": "some words"}),
        ((), {"text": "some words"}),
        ((), {"text": ["a", "b c"], "padding": True, "return_tensors": "pt"}),
        ((AUDIO,), {"text": ["a", "b"], "device": "cpu", "add_special_tokens": False}),
    ],
)
def test_a_call_equals_the_reference(pair, args, options):
    ours, reference = (processor(*args, **options, **RATE) for processor in pair)

    assert_equal(ours, reference)


def test_what_is_missing_or_unknown_is_refused(pair):
    with pytest.raises(ValueError, match="audio or text must be given"):
        pair[0]()
    with pytest.raises(TypeError, match="paddding is an option of neither"):
        pair[0](AUDIO, paddding=True)
    with pytest.raises(ValueError, match="sampling_rate must be 16000, got 8000"):
        pair[0](AUDIO, sampling_rate=8000)


def test_what_is_not_audio_or_text_of_its_own_goes_to_the_tokenizer(pair):
    ours, reference = pair
    tokens = reference.tokenizer.encode(" hello <|1.00|>")

    assert ours.model_input_names == reference.model_input_names
    assert ours.decode(tokens, skip_special_tokens=True) == reference.decode(tokens, skip_special_tokens=True)
    assert ours.batch_decode([tokens, tokens]) == reference.batch_decode([tokens, tokens])
    assert ours.get_prompt_ids("x y").tolist() == reference.get_prompt_ids("x y").tolist()
    arguments = {"task": "transcribe", "language": "french"}
    assert ours.get_decoder_prompt_ids(**arguments) == reference.get_decoder_prompt_ids(**arguments)


def test_options_of_what_goes_to_the_tokenizer_go_with_it(pair):
    ours, reference = pair
    tokens = reference.tokenizer.encode(" hello <|1.00|>")
    for options in ({"skip_special_tokens": True}, {"basic_normalize": True}, {"normalize": True}):
        assert ours.batch_decode([tokens], **options) == reference.batch_decode([tokens], **options)
    assert ours.batch_decode([tokens], True) == reference.batch_decode([tokens], True)
    prompt = ours.get_prompt_ids("x y", return_tensors="pt")
    assert prompt.equal(reference.get_prompt_ids("x y", return_tensors="pt"))
    before = ours.tokenizer.predict_timestamps
    for no_timestamps in (False, True):
        arguments = {"task": "translate", "language": "de", "no_timestamps": no_timestamps}
        assert ours.get_decoder_prompt_ids(**arguments) == reference.get_decoder_prompt_ids(**arguments)
    assert ours.tokenizer.predict_timestamps is before  # the pair is of other tests too


def test_what_we_save_the_reference_reads_and_the_same_files(pair, tmp_path):
    ours = pair[0]
    paths = ours.save_pretrained(tmp_path / "ours")
    pair[1].save_pretrained(tmp_path / "theirs")
    reference = transformers.WhisperProcessor.from_pretrained(tmp_path / "ours")

    assert paths == [str(tmp_path / "ours" / "processor_config.json")]
    saved = json.loads((tmp_path / "ours" / "processor_config.json").read_text())
    assert saved == json.loads((tmp_path / "theirs" / "processor_config.json").read_text())
    assert reference.feature_extractor.to_dict() == ours.feature_extractor.to_dict()
    assert_equal(ours(AUDIO, text=["a", "b"], **RATE), reference(AUDIO, text=["a", "b"], **RATE))
    again = WhisperProcessor.from_pretrained(tmp_path / "ours")
    assert_equal(again(AUDIO, text=["a", "b"], **RATE), reference(AUDIO, text=["a", "b"], **RATE))


def test_what_the_reference_saves_we_read(pair, tmp_path):
    pair[1].save_pretrained(tmp_path)
    ours = WhisperProcessor.from_pretrained(tmp_path, language="german", return_attention_mask=True)

    assert (ours.feature_extractor.feature_size, ours.feature_extractor.chunk_length) == (128, 2)
    assert ours.feature_extractor.return_attention_mask
    assert ours.tokenizer.language == "german"


def test_parts_may_be_put_together(folder):
    ours = WhisperProcessor(
        feature_extractor=WhisperFeatureExtractor(), tokenizer=WhisperTokenizer.from_pretrained(folder)
    )

    assert ours(AUDIO[0], **RATE, return_tensors="pt").input_features.shape == (1, 80, 3000)


def test_pushing_and_folders_without_files_are_refused(pair, tmp_path):
    with pytest.raises(ValueError, match="push_to_hub must be False"):
        pair[0].save_pretrained(tmp_path, push_to_hub=True)
    with pytest.raises(ModelError, match=r"holds no preprocessor_config.json"):
        WhisperProcessor.from_pretrained(tmp_path)


def test_inputs_are_sent_to_a_device_and_type_as_the_reference_sends_them(pair):
    options = {"return_tensors": "pt", "return_attention_mask": True, **RATE}
    for arguments in (("cpu", torch.float16), (torch.bfloat16,), ("cpu",)):
        ours, reference = (processor(AUDIO, **options).to(*arguments) for processor in pair)
        assert {k: v.dtype for k, v in ours.items()} == {k: v.dtype for k, v in reference.items()}
    batch = pair[0](AUDIO, **options)
    assert batch.to(device="cpu", dtype=torch.float64) is batch
    assert batch.input_features.dtype == torch.float64
    with pytest.raises(AttributeError, match="there is no input 'labels', only input_features, attention_mask"):
        batch.labels  # noqa: B018  # what is not there is asked for
