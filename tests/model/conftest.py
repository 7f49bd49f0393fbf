"""Fixtures of the model's tests."""

from pathlib import Path

import pytest

from tests.model.checkpoints import random_whisper, save, tiny_tokenizer


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
