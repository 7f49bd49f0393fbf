"""Fixtures of the model's tests."""

from pathlib import Path

import pytest
import transformers

from model.files.hub import demo_folder
from model.tokenizer import WhisperTokenizer
from tests.model.checkpoints import random_whisper, save, tiny_tokenizer
from tests.model.tokenizer_folders import SPELLINGS


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory) -> Path:
    """A folder that holds a tiny tokenizer.json with all of Whisper's special tokens."""
    folder = tmp_path_factory.mktemp("vocabulary")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def small_reference():
    """A two-layer Whisper of the reference, random weights."""
    return random_whisper()


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory, small_reference) -> Path:
    """The same as a folder. Do not write to it."""
    return save(small_reference, tmp_path_factory.mktemp("small"))


@pytest.fixture
def folder(tmp_path, small_reference) -> Path:
    """The same as a folder that a test may damage."""
    return save(small_reference, tmp_path / "model")


@pytest.fixture(scope="session")
def demo_tokenizers():
    """The multilingual vocabulary of 51,865 tokens: ours and the reference's, to leave as they are.

    With a spelling list, which the demo's folder has not.
    """
    ours = WhisperTokenizer.from_pretrained(demo_folder())
    reference = transformers.WhisperTokenizer.from_pretrained(demo_folder())
    ours.english_spelling_normalizer = reference.english_spelling_normalizer = SPELLINGS
    return ours, reference
