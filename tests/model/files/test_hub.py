"""Where a model name leads. The hub is a server on this machine; what uses it runs in a process of its own."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model.config import ModelError
from model.files import hub, hub_client
from tests.model.checkpoints import tiny_tokenizer

ROOT = Path(__file__).parents[3]
COMMIT = "a" * 40
FILES = {
    "config.json": b'{"model_type": "whisper"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights " * 1000,
    "model.fp32-00001-of-00002.safetensors": b"more than needed",
    "pytorch_model.bin": b"pickled",
    "flax_model.msgpack": b"other",
    "README.md": b"words",
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as downloading a snapshot needs: repository, tree, files."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path.startswith("/api/models/org/gated"):
            self.answer(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif not path.startswith(("/api/models/org/whisper", "/org/whisper/")):
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            rows = [{"type": "file", "path": n, "size": len(c), "oid": f"{i:040}"} for i, (n, c) in self.files()]
            self.answer(200, json.dumps(rows).encode())
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            body = {"id": "org/whisper", "modelId": "org/whisper", "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(body).encode())
        else:
            name = path.rpartition("/")[2]
            self.answer(200, self.server.files[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})

    def files(self):
        return enumerate(self.server.files.items())

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as httpd:
        httpd.files, httpd.asked = dict(FILES), []
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture
def ask(tmp_path):
    """Resolve a name in a fresh process whose hub is at `port`: ("ok", name, path, notice) or ("error", message)."""

    def resolve(name, port, *, offline=False, timeout=hub_client.REACH_TIMEOUT):
        code = f"""
import json
from model.files import hub, hub_client
from model.config import ModelError
hub_client.REACH_TIMEOUT = {timeout}
try:
    source = hub.resolve({name!r}, offline={offline}, progress=False)
    print(json.dumps(["ok", source.name, str(source.path), source.notice]))
except ModelError as error:
    print(json.dumps(["error", str(error)]))
"""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path / "home"),
                        "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50,
            check=True,
        )  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])

    return resolve


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]  # bound but not listening: connections are refused


def test_a_hub_name_is_downloaded_once_and_then_found_without_network(server, ask, closed_port):
    first = ask("org/whisper", server.server_port)
    assert first[:2] == ["ok", "org/whisper"]
    names = {path.name for path in Path(first[2]).iterdir()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors"}, "nothing that is not needed"
    assert (Path(first[2]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]

    server.asked.clear()
    assert ask("org/whisper", server.server_port) == first
    assert server.asked == []
    assert ask("org/whisper", closed_port, offline=True) == first


def test_a_half_downloaded_model_is_completed(server, ask):
    folder = Path(ask("org/whisper", server.server_port)[2])
    (folder / "model.safetensors").unlink()

    assert ask("org/whisper", server.server_port)[0] == "ok"
    assert (folder / "model.safetensors").is_file()


def test_a_model_that_the_hub_lacks_is_an_error(server, ask):
    status, message = ask("org/nothing", server.server_port)

    assert status == "error"
    assert message == "org/nothing is neither a folder here nor a model that the hub shows you"


def test_a_model_that_asks_for_consent_says_how(server, ask):
    status, message = ask("org/gated", server.server_port)

    assert status == "error"
    assert message.startswith("org/gated asks for consent: accept it on its page")


def test_a_named_model_never_falls_back(ask, closed_port):
    status, message = ask("openai/whisper-tiny", closed_port)

    assert status == "error"
    assert message.startswith("openai/whisper-tiny is not in the cache and the hub cannot be reached")
    assert "streamer models pull openai/whisper-tiny" in message


def test_auto_falls_back_to_the_demo_with_a_notice(ask, closed_port):
    status, name, path, notice = ask("auto", closed_port)

    assert (status, name, path) == ("ok", "demo", str(hub.demo_folder()))
    assert "small vocabulary" in notice
    assert "openai/whisper-base" in notice


def test_a_hub_that_never_answers_is_given_up(ask):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        status, name, *_ = ask("auto", silent.getsockname()[1], timeout=0.3)

    assert (status, name) == ("ok", "demo")
    assert time.monotonic() - begun < 15


def test_offline_asks_no_hub(server, ask):
    status, message = ask("org/whisper", server.server_port, offline=True)

    assert status == "error"
    assert "is not in the cache" in message
    assert server.asked == []


def test_a_folder_or_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "some.pt").write_bytes(b"")

    assert hub.resolve(str(tmp_path)) == hub.Source(str(tmp_path), tmp_path)
    assert hub.resolve(str(tmp_path / "some.pt")).path == tmp_path / "some.pt"


def test_a_folder_comes_before_a_hub_name(tmp_path, monkeypatch):
    (tmp_path / "org" / "whisper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert hub.resolve("org/whisper", offline=True).path == Path("org/whisper")


@pytest.mark.parametrize("name", ["", "base", "./missing", "/missing/folder", "missing/file.pt", "a/b/c", "../x/y"])
def test_a_name_that_leads_nowhere_is_refused(name):
    with pytest.raises(ModelError, match=r"model must be demo, auto, a folder, an openai .pt or a hub name"):
        hub.resolve(name)


def test_a_name_the_hub_would_not_take_is_refused():
    with pytest.raises(ModelError, match="'org/a--b' cannot be a hub name"):
        hub.resolve("org/a--b", offline=True)


def test_a_short_name_is_told_the_whole_one():
    with pytest.raises(ModelError, match="there is no 'base' here; on the hub there is openai/whisper-base"):
        hub.resolve("base")


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["model.safetensors", "pytorch_model.bin", "config.json"], ["config.json", "model.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
        ),
        (
            ["pytorch_model.bin", "model.fp32-00001-of-00002.safetensors", "vocab.json"],
            ["vocab.json", "pytorch_model.bin"],
        ),
        (["model.safetensors", "model-00001-of-00001.safetensors"], ["model.safetensors"]),
    ],
)
def test_safetensors_are_preferred_and_nothing_is_fetched_twice(files, wanted):
    assert hub_client.wanted_files(files) == wanted


def test_a_repository_without_weights_is_refused():
    with pytest.raises(ModelError, match="neither safetensors nor PyTorch weights"):
        hub_client.wanted_files(["README.md", "model.gguf"])


def test_the_models_in_the_cache_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, kind, weights in [
        ("b", "whisper", True),
        ("a", "whisper", True),
        ("bert", "bert", True),
        ("c", "whisper", False),
    ]:
        repository = tmp_path / f"models--org--{name}"
        folder = repository / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
        if weights:
            (folder / "model.safetensors").write_bytes(b"")

    assert [source.name for source in hub_client.cached_models()] == ["org/a", "org/b"]


def test_no_cache_holds_no_models(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none"))

    assert hub_client.cached_models() == []
    assert hub_client.cached("org/whisper") is None


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model-00002-of-00002.safetensors"])
def test_a_model_is_complete_with_every_part_only(tmp_path, missing):
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {"a": parts[0], "b": parts[1]}}
    for name in ["config.json", "tokenizer.json", *parts]:
        (tmp_path / name).write_text("")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert hub_client.is_complete(tmp_path)

    (tmp_path / missing).unlink()
    assert not hub_client.is_complete(tmp_path)
