"""Other programs are driven in the stream's time: what each is given when, and what counts as said when."""

import base64
import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.emission import Emission
from benchmarks.peers.absent import NotMeasured, find, loading, revision
from benchmarks.peers.align_att import AlignAtt
from benchmarks.peers.calls import Calls
from benchmarks.peers.chunked import ChunkLoop
from benchmarks.peers.clock import StreamClock
from benchmarks.peers.local_agreement import LocalAgreement
from benchmarks.peers.stage import PACKET, PATIENCE, Stage
from benchmarks.peers.transcript import Transcript
from benchmarks.peers.weights import alignment_heads
from benchmarks.peers.whisper_live import RepeatRule
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE


class Meter:
    """CPU seconds, used up by saying so."""

    def __init__(self):
        self.used = 0.0

    def __call__(self):
        return self.used


def seconds(length):
    return Speech(np.zeros(round(length * SAMPLE_RATE), np.float32), ())


class Processor:
    """Says one word a chunk, and takes the given time for each."""

    def __init__(self, meter, costs):
        self.meter, self.costs, self.lengths = meter, iter(costs), []

    def init(self):
        self.lengths = []

    def insert_audio_chunk(self, samples):
        self.lengths.append(len(samples) / SAMPLE_RATE)

    def process_iter(self):
        self.meter.used += next(self.costs)
        return f" word{len(self.lengths)}"

    def finish(self):
        return " end."


def hear(online, meter, length, **options):
    loop = ChunkLoop("peer", online, str, 1.0, **options)
    return loop.hear(seconds(length), meter)


def test_a_fast_system_waits_for_its_chunk_and_answers_when_its_work_is_over():
    meter = Meter()
    online = Processor(meter, [0.2, 0.3, 0.1])
    emissions, clock = hear(online, meter, 2.5)

    assert online.lengths == [1.0, 1.0, 0.5]
    assert [(e.audio, pytest.approx(e.at), e.committed) for e in emissions] == [
        (1.0, 1.2, ("word1",)),
        (2.0, 2.3, ("word2",)),
        (2.5, 2.6, ("word3",)),
    ]
    assert clock.busy == pytest.approx(0.6)


def test_a_system_that_falls_behind_takes_all_that_has_come_meanwhile():
    meter = Meter()
    online = Processor(meter, [2.5, 0.1, 0.1, 0.1])
    emissions, _ = hear(online, meter, 5.0)

    assert online.lengths == [1.0, 2.5, 1.0, 0.5]
    assert [e.at for e in emissions][:2] == pytest.approx([3.5, 3.6])


def test_what_is_done_between_two_pieces_of_work_costs_nobody_anything():
    meter = Meter()
    clock = StreamClock(seconds(3), meter)
    clock.take(1.0)
    meter.used += 10.0
    with clock.work():
        meter.used += 0.5

    assert (clock.now, clock.busy) == (1.5, 0.5)


def test_words_that_were_not_confirmed_when_the_audio_ends_are_lost_unless_finish_is_called():
    meter = Meter()
    plain, _ = hear(Processor(meter, [0.0]), meter, 1.0)
    finished, _ = hear(Processor(meter, [0.0]), meter, 1.0, finish=True)

    assert [e.committed for e in plain] == [("word1",)]
    assert [(e.committed, e.final) for e in finished] == [(("word1",), False), (("end",), True)]


def test_a_voice_activity_controller_ends_utterances():
    meter = Meter()
    online = Processor(meter, [0.0, 0.0])
    online.is_currently_final = True
    emissions, _ = hear(online, meter, 2.0)

    assert [e.final for e in emissions] == [True, True]


def test_an_utterance_ends_even_if_nothing_more_is_said():
    meter = Meter()
    online = Processor(meter, [0.5])
    online.is_currently_final = True
    online.process_iter = lambda: ""
    emissions, _ = hear(online, meter, 1.0)

    assert emissions == [Emission(1.0, 1.0, final=True)]


def test_a_peer_that_fails_is_not_measured_and_says_when_it_failed():
    meter = Meter()
    with pytest.raises(NotMeasured, match=r"peer: failed at 2.0 s of the stream: .*StopIteration"):
        hear(Processor(meter, [0.0]), meter, 3.0)


def test_words_are_counted_when_they_are_complete():
    transcript = Transcript()

    assert transcript.append(" Four five") == (("four", "five"), 0)
    assert transcript.append(" six,") == (("six",), 0)
    assert transcript.append("") == ((), 0)
    assert transcript.append(" sev") == (("sev",), 0)
    assert transcript.append("en eight ") == (("seven", "eight"), 1)
    assert transcript.append("nine") == (("nine",), 0)


class Connection:
    """The server's side, as far as the stage sees it."""

    def __init__(self):
        self.packets, self.exit = [], False

    def add_frames(self, samples):
        self.packets.append(len(samples))

    def cleanup(self):
        self.exit = True


def stage(length):
    meter = Meter()
    clock = StreamClock(seconds(length), meter)
    made = Stage(clock)
    made.client = Connection()
    return made, meter, clock


def segment(text, start, *, completed):
    return {"start": f"{start:.3f}", "end": f"{start + 1:.3f}", "text": text, "completed": completed}


def message(*segments):
    return json.dumps({"uid": "benchmark", "segments": segments})


def test_audio_comes_in_whole_packets_while_time_passes():
    made, meter, clock = stage(1.0)
    made.sleep(0.3)
    meter.used += 0.3

    assert made.time() == pytest.approx(0.6)
    assert made.client.packets == [PACKET, PACKET]
    assert clock.busy == pytest.approx(0.3)


def test_waiting_ends_with_the_next_packet_or_the_limit():
    made, _, clock = stage(1.0)

    assert made.wait(1.0)
    assert clock.now == pytest.approx(PACKET / SAMPLE_RATE)
    assert not made.wait(0.1)
    assert clock.now == pytest.approx(PACKET / SAMPLE_RATE + 0.1)


def test_a_completed_segment_is_committed_once_and_the_open_one_is_shown():
    made, meter, _ = stage(20.0)
    made.heard = 2.0
    made.sleep(2.0)
    made.send(json.dumps({"message": "SERVER_READY"}))
    made.send(message(segment(" One two", 0, completed=False)))
    meter.used += 0.5
    made.send(message(segment(" one two", 0, completed=True), segment(" one", 1, completed=False)))
    made.send(message(segment(" one two", 0, completed=True), segment(" one", 1, completed=False)))
    made.send(message(segment(" one two", 0, completed=True), segment(" one", 1, completed=True)))

    assert made.emissions == [
        Emission(2.0, 2.0, (), ("one", "two")),
        Emission(2.0, 2.5, ("one", "two"), ("one",)),
        Emission(2.0, 2.5, ("one",), ()),
    ]


def test_the_client_hangs_up_when_nothing_new_has_come_for_a_while():
    made, _, _ = stage(1.0)
    made.sleep(1.5)
    made.client.exit = False
    made.send(message(segment(" one", 0, completed=False)))
    made.sleep(PATIENCE - 0.1)
    made.send(message(segment(" one", 0, completed=False)))
    assert not made.client.exit
    made.sleep(0.2)
    assert made.client.exit


@pytest.mark.parametrize("peer", [LocalAgreement, AlignAtt, RepeatRule])
def test_a_peer_without_its_code_is_not_measured_and_says_why(peer, tmp_path):
    with pytest.raises(NotMeasured, match="not given: no option says where"):
        peer(None, tmp_path)
    with pytest.raises(NotMeasured, match="is not a folder"):
        peer(tmp_path / "missing", tmp_path)
    with pytest.raises(NotMeasured, match="does not import: No module named"):
        peer(tmp_path, tmp_path)


def test_a_folder_of_a_peer_stands_in_for_no_module_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", ["/first"])
    (tmp_path / "a_peer_of_the_tests.py").write_text("answer = 42")
    assert find("peer", "a_peer_of_the_tests", tmp_path).answer == 42

    import sys

    assert sys.path[-1] == str(tmp_path)


def test_another_version_of_a_peer_that_does_not_load_is_not_measured():
    with pytest.raises(NotMeasured, match=r"peer: does not load: AttributeError"), loading("peer"):
        raise AttributeError("add_shared_args")


def test_the_reason_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(NotMeasured("peer", "gone")))

    assert (error.name, error.reason, str(error)) == ("peer", "gone", "peer: gone")


def test_a_folder_that_is_no_clone_has_no_revision(tmp_path):
    assert revision(tmp_path) == ()
    assert revision(None) == ()


def test_calls_are_counted_and_answered():
    counted = Calls(processor := Processor(Meter(), [0.0, 0.0]), "process_iter")

    assert processor.process_iter() == " word0"
    assert counted.number == 1


def test_the_demo_models_alignment_heads_are_listed_as_openai_lists_them():
    heads = np.frombuffer(gzip.decompress(base64.b85decode(alignment_heads())), dtype=bool).reshape(3, 4)

    config = json.loads((Path(__file__).parents[2] / "model/demo/generation_config.json").read_text())
    assert [list(place) for place in np.argwhere(heads)] == config["alignment_heads"]
