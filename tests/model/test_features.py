"""The feature extractor against the reference's."""

import json

import numpy as np
import pytest
import torch
import transformers

from model.audio.spectrogram import log_mel_spectrogram, mel_filters, normalize
from model.config import ModelError
from model.features import WhisperFeatureExtractor


def recording(seconds, seed=0, loudness=0.1):
    """Noise that swells, over a tone: loud and quiet bands, loud and quiet times."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * t / 3)
    return (loudness * (swell**4 * rng.normal(size=t.size) + np.sin(2 * np.pi * 440 * t))).astype(np.float32)


@pytest.fixture(scope="module", params=[80, 128])
def pair(request):
    return (
        transformers.WhisperFeatureExtractor(feature_size=request.param),
        WhisperFeatureExtractor(feature_size=request.param),
    )


def test_mel_filters_equal_the_reference(pair):
    reference, ours = pair

    np.testing.assert_allclose(ours.mel_filters.T, reference.mel_filters, rtol=0, atol=1e-8)


@pytest.mark.parametrize("seconds", [0.0001, 0.3, 5.01, 30.0, 34.0])
def test_features_equal_the_references_torch_path(pair, seconds):
    reference, ours = pair
    audio = recording(seconds)
    expected = reference(audio, sampling_rate=16000, return_tensors="pt").input_features

    features = ours(audio, sampling_rate=16000, return_tensors="pt").input_features

    assert features.shape == (1, ours.feature_size, 3000)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)


def test_features_equal_the_references_numpy_path():
    reference, ours = transformers.WhisperFeatureExtractor(), WhisperFeatureExtractor()
    # Without a pure tone: beside one, float32 itself is off by more than this in the bands that are 80 dB below it.
    audio = np.random.default_rng(6).normal(0, 0.1, 128_000).astype(np.float32)
    padded = np.pad(audio, (0, 480_000 - len(audio)))

    features = ours(audio, return_tensors="np")["input_features"][0]

    np.testing.assert_allclose(features, reference._np_extract_fbank_features([padded], "cpu")[0], rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "longest"},
        {"padding": True, "pad_to_multiple_of": 500},
        {"max_length": 20_001},
        {"max_length": 20_001, "pad_to_multiple_of": 160},
        {"do_normalize": True},
        {"padding": "longest", "do_normalize": True},
    ],
)
def test_a_batch_with_options_equals_the_reference(options):
    rows = [recording(0.9, 1), recording(1.7, 2), recording(0.2, 3)]
    options |= {"return_attention_mask": True, "sampling_rate": 16000}
    expected = transformers.WhisperFeatureExtractor()(rows, return_tensors="np", **options)

    batch = WhisperFeatureExtractor()(rows, return_tensors="np", **options)

    np.testing.assert_allclose(batch.input_features, expected.input_features, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)


def test_each_row_of_a_batch_is_scaled_by_itself():
    ours = WhisperFeatureExtractor()
    loud, quiet = recording(1, loudness=0.5), recording(1, seed=4, loudness=0.001)
    together = ours([loud, quiet], return_tensors="pt").input_features

    torch.testing.assert_close(together[1:], ours(quiet, return_tensors="pt").input_features, rtol=0, atol=1e-6)


def test_lists_and_doubles_are_taken_as_the_reference_takes_them():
    reference, ours = transformers.WhisperFeatureExtractor(chunk_length=1), WhisperFeatureExtractor(chunk_length=1)
    audio = recording(0.1)
    for speech in (audio.tolist(), audio.astype(np.float64), [audio.tolist()], audio[None]):
        expected = reference(speech, sampling_rate=16000, return_tensors="np").input_features

        np.testing.assert_allclose(ours(speech, return_tensors="np").input_features, expected, rtol=0, atol=1e-6)


def test_long_audio_is_kept_whole_without_truncation():
    features = WhisperFeatureExtractor()(recording(31), truncation=False, return_tensors="pt").input_features

    assert features.shape == (1, 80, 3100)


def test_dither_adds_noise_of_that_deviation():
    ours = WhisperFeatureExtractor(dither=0.01, chunk_length=1)
    features = ours(np.zeros(16000, dtype=np.float32), return_tensors="pt").input_features
    noise = normalize(log_mel_spectrogram(0.01 * torch.randn(16000), mel_filters(80)))

    assert abs(float(features.mean() - noise.mean())) < 0.02


@pytest.mark.parametrize(
    ("speech", "options", "message"),
    [
        (np.zeros(400, np.float32), {"sampling_rate": 8000}, "sampling_rate must be 16000, got 8000"),
        (np.zeros((2, 3, 4), np.float32), {}, "only mono audio is supported, got an array of 3 dimensions"),
        ([np.zeros((2, 400), np.float32)], {}, "only mono audio is supported, got a row of shape"),
        ([np.zeros(400), np.zeros(500)], {"padding": False}, "rows of 400 and 500 make no rectangle"),
        (
            [np.zeros(400), np.zeros(900)],
            {"max_length": 480, "truncation": False},
            "rows of 480 and 900 make no rectangle",
        ),
        (np.zeros(400, np.float32), {"padding": "left"}, "padding must be"),
        (np.zeros(400, np.float32), {"return_tensors": "tf"}, "return_tensors must be"),
        ([], {}, "no audio was given"),
    ],
)
def test_input_that_makes_no_features_is_refused(speech, options, message):
    with pytest.raises(ValueError, match=message):
        WhisperFeatureExtractor()(speech, **options)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "80"])
def test_a_size_that_cannot_be_is_refused_by_name(value):
    with pytest.raises(ValueError, match="feature_size must be a whole number of at least 1"):
        WhisperFeatureExtractor(feature_size=value)


def test_the_references_file_is_read(tmp_path):
    transformers.WhisperFeatureExtractor(feature_size=128, return_attention_mask=True).save_pretrained(tmp_path)

    ours = WhisperFeatureExtractor.from_pretrained(tmp_path)

    assert (ours.feature_size, ours.return_attention_mask, ours.n_samples) == (128, True, 480_000)


def test_a_processors_file_is_read(tmp_path):
    (tmp_path / "processor_config.json").write_text('{"feature_extractor": {"feature_size": 128}}')

    assert WhisperFeatureExtractor.from_pretrained(tmp_path).feature_size == 128


@pytest.mark.parametrize("text", ["", "[]", '{"feature_size": "many"}', '{"n_fft": -2}'])
def test_a_file_that_is_none_is_refused_by_name(tmp_path, text):
    (tmp_path / "preprocessor_config.json").write_text(text)

    reason = "is not JSON|must hold a JSON object|is not a feature extractor's configuration"
    with pytest.raises(ModelError, match=rf"preprocessor_config.json ({reason})"):
        WhisperFeatureExtractor.from_pretrained(tmp_path)


def test_a_folder_without_the_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no preprocessor_config.json"):
        WhisperFeatureExtractor.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "options", [{}, {"feature_size": 128, "dither": 0.1, "padding_side": "left", "of_tomorrow": 3}]
)
def test_a_configuration_is_the_references_both_ways(tmp_path, options):
    ours, reference = WhisperFeatureExtractor(**options), transformers.WhisperFeatureExtractor(**options)

    assert ours.to_dict() == reference.to_dict()
    assert ours.save_pretrained(tmp_path / "a") == [str(tmp_path / "a" / "preprocessor_config.json")]
    assert transformers.WhisperFeatureExtractor.from_pretrained(tmp_path / "a").to_dict() == reference.to_dict()
    assert WhisperFeatureExtractor.from_pretrained(tmp_path / "a").to_dict() == ours.to_dict()
    reference.save_pretrained(tmp_path / "b")
    assert (
        WhisperFeatureExtractor.from_json_file(tmp_path / "b" / "preprocessor_config.json").to_dict() == ours.to_dict()
    )
    assert repr(ours) == f"WhisperFeatureExtractor {ours.to_json_string()}"
    with pytest.raises(ValueError, match="push_to_hub must be False"):
        ours.save_pretrained(tmp_path, push_to_hub=True)


def test_fields_may_be_set_otherwise_when_reading(tmp_path):
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path)
    arguments = {"feature_size": 128, "foo": 1, "return_unused_kwargs": True}

    ours, unused = WhisperFeatureExtractor.from_pretrained(tmp_path, **arguments)
    reference, expected = transformers.WhisperFeatureExtractor.from_pretrained(tmp_path, **arguments)

    assert unused == expected == {"foo": 1}
    assert ours.to_dict() == reference.to_dict()
    assert WhisperFeatureExtractor.from_dict(reference.to_dict(), chunk_length=5).n_samples == 80_000


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("padding", ["max_length", "longest"])
@pytest.mark.parametrize("max_length", [None, 20_001, 16_000])
@pytest.mark.parametrize("multiple", [None, 160, 499])
def test_every_way_of_padding_equals_the_reference(mels, padding, max_length, multiple):
    rows = [recording(0.7, 1), recording(1.3, 2)]
    options = {"padding": padding, "max_length": max_length, "pad_to_multiple_of": multiple, "sampling_rate": 16000}
    options |= {"return_attention_mask": True, "return_tensors": "np"}
    size = {"feature_size": mels, "chunk_length": 1, "padding_value": 0.01}

    expected = transformers.WhisperFeatureExtractor(**size)(rows, **options)
    batch = WhisperFeatureExtractor(**size)(rows, **options)

    np.testing.assert_allclose(batch.input_features, expected.input_features, rtol=0, atol=5e-5)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)
    assert batch.attention_mask.dtype == expected.attention_mask.dtype
    assert batch.attention_mask.shape[1] == batch.input_features.shape[2]


def test_an_extractor_of_other_sizes_equals_the_reference():
    sizes = {"feature_size": 40, "sampling_rate": 22_050, "hop_length": 200, "n_fft": 512, "chunk_length": 2}
    rows = [recording(0.7, 1), recording(1.3, 2)]
    options = {"sampling_rate": 22_050, "return_attention_mask": True, "return_tensors": "np"}
    reference, ours = transformers.WhisperFeatureExtractor(**sizes), WhisperFeatureExtractor(**sizes)
    expected = reference(rows, **options)

    batch = ours(rows, **options)

    assert ours.to_dict() == reference.to_dict()
    np.testing.assert_allclose(batch.input_features, expected.input_features, rtol=0, atol=5e-5)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)


def test_padding_on_the_left_equals_the_reference():
    rows = [recording(0.7, 1), recording(1.0, 2)]
    options = {"sampling_rate": 16000, "return_attention_mask": True, "return_tensors": "np"}

    expected = transformers.WhisperFeatureExtractor(padding_side="left", chunk_length=1)(rows, **options)
    batch = WhisperFeatureExtractor(padding_side="left", chunk_length=1)(rows, **options)

    np.testing.assert_allclose(batch.input_features, expected.input_features, rtol=0, atol=5e-5)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)


def test_an_extractor_that_returns_masks_returns_one_entry_a_frame():
    ours = WhisperFeatureExtractor(return_attention_mask=True, chunk_length=1)

    assert ours(recording(0.5), sampling_rate=16000).attention_mask.shape == (1, 100)
    assert "attention_mask" not in ours(recording(0.5), sampling_rate=16000, return_attention_mask=False)
    assert ours(recording(0.5), sampling_rate=16000, do_normalize=True).attention_mask.sum() == 50


def test_dither_is_drawn_as_the_reference_draws_it():
    audio = recording(0.5)
    features = []
    for kind in (transformers.WhisperFeatureExtractor, WhisperFeatureExtractor):
        torch.manual_seed(3)
        features.append(
            kind(dither=0.1, chunk_length=1)(audio, sampling_rate=16000, return_tensors="pt").input_features
        )

    torch.testing.assert_close(features[1], features[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "max_length", "max_length": 9}, {"truncation": True, "max_length": 5}, {"pad_to_multiple_of": 4}],
)
def test_padding_features_that_came_one_by_one_equals_the_reference(options):
    rows = [{"input_features": np.full((n, 3), n, dtype=np.float32)} for n in (4, 7)]
    options |= {"return_attention_mask": True, "return_tensors": "np"}
    expected = transformers.WhisperFeatureExtractor().pad([dict(row) for row in rows], **options)

    batch = WhisperFeatureExtractor().pad(rows, **options)

    np.testing.assert_array_equal(batch.input_features, expected.input_features)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)
    columns = {"input_features": [row["input_features"] for row in rows]}
    np.testing.assert_array_equal(
        WhisperFeatureExtractor().pad(columns, **options).input_features, batch.input_features
    )
    with pytest.raises(ValueError, match="max_length must be given"):
        WhisperFeatureExtractor().pad(rows, truncation=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"return_attention_mask": True}, {"return_attention_mask": True, "truncation": True, "max_length": 5}],
)
@pytest.mark.parametrize("kind", [list, torch.tensor, np.asarray])
def test_padding_what_a_data_set_gives_back_equals_the_reference(options, kind):
    rows = [
        {
            "input_features": kind([[n / 7] * 3] * n),
            "attention_mask": kind([1] * (n - 1) + [0]),
            "labels": kind([5, n]),
            "input_length": n / 16,
        }
        for n in ((4, 7) if options else (7, 7))
    ]
    for wanted in ({}, {"return_tensors": "pt"}, {"return_tensors": "np"}):
        expected = transformers.WhisperFeatureExtractor().pad([dict(row) for row in rows], **options, **wanted)

        batch = WhisperFeatureExtractor().pad(rows, **options, **wanted)

        assert set(batch) == set(expected)
        for name, value in expected.items():
            assert (type(batch[name]), batch[name].dtype) == (type(value), value.dtype)
            np.testing.assert_array_equal(batch[name], value)


def test_masks_are_padded_with_zeros_whatever_rows_are_padded_with():
    rows = [{"input_features": np.ones((n, 3), np.float32), "attention_mask": np.ones(n, np.int32)} for n in (4, 7)]
    expected = transformers.WhisperFeatureExtractor(padding_value=2.0, return_attention_mask=True).pad(rows)

    batch = WhisperFeatureExtractor(padding_value=2.0, return_attention_mask=True).pad(rows)

    np.testing.assert_array_equal(batch.input_features, expected.input_features)
    np.testing.assert_array_equal(batch.attention_mask, expected.attention_mask)


def test_a_processors_file_goes_before_the_extractors_own(tmp_path):
    transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(tmp_path)
    values = transformers.WhisperFeatureExtractor(feature_size=128).to_dict()
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": values}))

    ours, reference = (
        kind.from_pretrained(tmp_path) for kind in (WhisperFeatureExtractor, transformers.WhisperFeatureExtractor)
    )

    assert ours.feature_size == reference.feature_size == 128


def test_a_missing_sampling_rate_is_warned_of(caplog):
    WhisperFeatureExtractor(chunk_length=1)(recording(0.1))

    assert "sampling_rate was not given" in caplog.text


def test_audio_too_short_for_a_frame_and_sides_that_are_none_are_refused():
    with pytest.raises(ValueError, match="audio must have more than 200 samples, got 150"):
        WhisperFeatureExtractor()(np.zeros(150, np.float32), padding="longest")
    with pytest.raises(ValueError, match="padding_side must be 'left' or 'right', got 'top'"):
        WhisperFeatureExtractor(padding_side="top")


def test_a_recording_longer_than_what_is_computed_at_once_equals_the_reference():
    audio = 0.1 * np.random.default_rng(3).standard_normal(61 * 16_000).astype(np.float32)
    options = {"sampling_rate": 16_000, "truncation": False, "padding": "longest", "return_tensors": "np"}
    expected = transformers.WhisperFeatureExtractor()(audio, **options).input_features

    found = WhisperFeatureExtractor()(audio, **options).input_features

    assert found.shape == expected.shape == (1, 80, 6100)
    np.testing.assert_allclose(found, expected, atol=5e-5)
