"""The adapters against the real programs. STREAMER_PEERS names a folder with their clones, under their own names."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from benchmarks.peers.align_att import AlignAtt
from benchmarks.peers.local_agreement import LocalAgreement
from benchmarks.peers.whisper_live import RepeatRule
from benchmarks.speech import Style, speak
from model.text.word_errors import word_errors

PEERS = os.environ.get("STREAMER_PEERS")
pytestmark = [
    pytest.mark.skipif(PEERS is None, reason="STREAMER_PEERS names no folder with clones of other programs"),
    pytest.mark.filterwarnings("ignore"),  # other people's
    pytest.mark.timeout(300),  # WhisperLive decodes without a pause, for 15 s after the end too
]
needs_silero = pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed")
CASES = [
    pytest.param(LocalAgreement, "whisper_streaming", {"finish": True}, id="LocalAgreement"),
    pytest.param(LocalAgreement, "whisper_streaming", {"vac": True}, id="LocalAgreement-VAC", marks=needs_silero),
    pytest.param(AlignAtt, "SimulStreaming", {}, id="AlignAtt"),
    pytest.param(AlignAtt, "SimulStreaming", {"vac": True, "audio": 10.0}, id="AlignAtt-VAC", marks=needs_silero),
    pytest.param(RepeatRule, "WhisperLive", {}, id="RepeatRule"),
]


@pytest.fixture
def speech():
    return speak(8, seed=3, styles=[Style(words=(4, 6))])


@pytest.fixture(autouse=True)
def threads_of_torch_stay():
    before = torch.get_num_threads()
    yield
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == before


@pytest.mark.parametrize(("peer", "folder", "options"), CASES)
def test_a_peer_hears_most_words_after_they_were_said(peer, folder, options, speech, tmp_path):
    path = Path(PEERS) / folder
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    system = peer(path, tmp_path, **options)
    run = system.run(speech)
    again = system.run(speech)

    truth = [word.text for word in speech.words]
    for one in (run, again):
        heard = [word for emission in one.emissions for word in emission.committed]
        assert word_errors(heard, truth) <= len(truth) // 4, f"{truth} heard as {heard}"
        assert [e.at for e in one.emissions] == sorted(e.at for e in one.emissions)
        assert all(emission.at >= emission.audio for emission in one.emissions)
        assert one.busy > 0
        assert one.updates > 3
