"""Language model, recogniser and voice of one's own: found on this computer, or named, and what is said of them."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import socket
import sys
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chat_server import Chat, chat_server, says
from test_practice_voice import FakePiper

import rtnb
from rtnb.errors import InputError
from rtnb.server import command, local_models
from rtnb.server.engines import asr, tts

# ------------------------------------------------------------------ language models on this computer


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chat_server() as running:
        running.answer(*says("It is ", "the real mind."))
        yield running


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def at(monkeypatch: pytest.MonkeyPatch, **ports: Chat | int) -> None:
    """Let the programs listen where these servers do; the others nowhere."""
    found = {name.replace("_", " "): int(it) if isinstance(it, int) else it.port for name, it in ports.items()}
    nowhere = free_port()
    monkeypatch.setattr(local_models, "_PORTS", dict.fromkeys(local_models._PORTS, nowhere) | found)


def test_the_usual_ports_are_those_that_the_programs_document() -> None:
    assert local_models._PORTS == {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}


def test_a_model_on_this_computer_is_found_named_and_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chat: Chat
) -> None:
    at(monkeypatch, Ollama=chat)
    with rtnb.practice(llm="auto", engines=True, pace=0) as practice:
        said = capsys.readouterr().out
        assert said.startswith(f"small answers, at {chat.url} on this computer (the usual port of Ollama). It is sent ")
        assert said.strip().endswith("pictures, functions and their results; no sound.")
        assert practice.engines["brain"] == f"small at {chat.url}"
        reply = rtnb.ask("Who are you?", url=practice.url, key="any", modalities="text", show=False).wait(60)
        assert reply.text == "It is the real mind."
    assert chat.looked_up == ["/v1/models"]
    assert chat.asked[0]["model"] == "small"


def test_nothing_is_looked_for_unless_it_is_asked(monkeypatch: pytest.MonkeyPatch, chat: Chat) -> None:
    at(monkeypatch, Ollama=chat)
    with rtnb.practice(engines=False), rtnb.practice(llm=chat.url, brain_model="mine", engines=False) as practice:
        assert practice.engines["brain"] == f"mine at {chat.url}"
    assert chat.looked_up == []


def test_an_address_is_taken_as_it_is(chat: Chat) -> None:
    with rtnb.practice(llm=chat.url, brain_model="mine") as practice:
        assert practice.engines["brain"] == f"mine at {chat.url}"
    with pytest.raises(InputError, match="brain_model"):
        rtnb.practice(llm=chat.url)


def test_of_several_the_first_answers_and_all_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chat: Chat
) -> None:
    with chat_server() as second:
        second.listed = {"data": [{"id": "large"}, {"id": "tiny"}]}
        at(monkeypatch, LM_Studio=chat, vLLM=second)
        assert local_models.choose(None) == (chat.url, "small")
        said = capsys.readouterr().out
        assert said.startswith(f"small answers, at {chat.url} on this computer (the usual port of LM Studio). ")
        found = f"Found here: small ({chat.url}), large ({second.url}), tiny ({second.url})."
        assert said.endswith(f" {found} Choose with brain_model=.\n")
        assert local_models.choose("tiny") == (second.url, "tiny")
        with pytest.raises(InputError) as refused:
            local_models.choose("huge")
        assert found in str(refused.value)


def test_models_that_do_not_talk_or_are_not_here_are_left_out(monkeypatch: pytest.MonkeyPatch, chat: Chat) -> None:
    names = ["nomic-embed-text:latest", "text-embedding-3", "gpt-oss:120b-cloud", "kimi-k2:cloud", "qwen3:8b"]
    chat.listed = {"data": [{"id": name} for name in names]}
    at(monkeypatch, Ollama=chat)
    assert local_models.choose(None) == (chat.url, "qwen3:8b")


@pytest.mark.parametrize(
    "listed",
    [
        b"<html>A page.</html>",
        b"",
        b'{"data": [',
        [],
        {},
        None,
        "models",
        {"data": None},
        {"data": []},
        {"data": "small"},
        {"data": 3},
        {"data": ["small", None]},
        {"data": [{"name": "small"}, {"id": 7}]},
        {"data": [{"id": "gpt-realtime", "owned_by": "rtnb practice"}]},
        {"error": "no key"},
    ],
    ids=repr,
)
def test_another_program_on_such_a_port_is_no_model(monkeypatch: pytest.MonkeyPatch, chat: Chat, listed: Any) -> None:
    chat.listed = listed
    at(monkeypatch, llama=free_port(), vLLM=chat)
    with pytest.raises(InputError) as refused:
        rtnb.practice(llm="auto", engines=False)
    assert str(refused.value).startswith("No such language model is served on this computer, at the ports of Ollama ")
    assert str(refused.value).endswith("Found here: none. Start one, or give its address as llm=.")


def test_a_practice_server_of_our_own_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with rtnb.practice(engines=False) as other:
        at(monkeypatch, vLLM=other.port)
        with pytest.raises(InputError, match="Found here: none"):
            rtnb.practice(llm="auto", engines=False)


def test_a_port_that_says_nothing_is_soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at(monkeypatch, Ollama=silent.getsockname()[1])
        with pytest.raises(InputError, match="Found here: none"):
            local_models.choose(None)


def test_it_is_said_in_chinese(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chat: Chat) -> None:
    chat.listed = {"data": [{"id": "one"}, {"id": "two"}]}
    at(monkeypatch, Ollama=chat)
    rtnb.language("zh")
    try:
        local_models.choose(None)
        said = capsys.readouterr().out
        with pytest.raises(InputError) as refused:
            local_models.choose("three")
    finally:
        rtnb.language("auto")
    for text in (said, str(refused.value)):
        assert not re.search(r"[a-z]+ [a-z]+ [a-z]+", text), text


def test_the_command_takes_it_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rtnb import cli

    at(monkeypatch)
    assert cli.main(["practice", "--port", "0", "--no-engines", "--llm", "auto"]) == 2
    assert "No such language model is served on this computer" in capsys.readouterr().out
    assert "llm" in command._SAME_NAMES


# ------------------------------------------------------------------ models for hearing and speaking

FILES = {
    "Systran/faster-whisper-small": {
        "model.bin": b"weights" * 20_000,
        "config.json": b"{}",
        "vocabulary.txt": b"a",
        "README.md": b"not needed",
        ".gitattributes": b"",
    },
    "someone/whisper-zh": {"model.bin": b"zh", "config.json": b"{}"},
    "rhasspy/piper-voices": {
        "en/en_US/lessac/medium/en_US-lessac-medium.onnx": b"voice" * 1_000,
        "en/en_US/lessac/medium/en_US-lessac-medium.onnx.json": json.dumps(
            {"espeak": {"voice": "en-us"}, "num_speakers": 1, "audio": {"sample_rate": 16_000}}
        ).encode(),
        "en/en_US/lessac/medium/MODEL_CARD": b"about it",
    },
}


class Hub:
    """A hub of models of a few bytes, in the two forms of request that are documented for the Hugging Face hub.

    Attributes:
        asked: The paths of the requests.
        cut: Whether files end before their announced length.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cut = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                body = hub._body(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write((body or b"")[: -1 if hub.cut and "/resolve/" in self.path else None])

            def log_message(self, *given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _body(self, path: str) -> bytes | None:
        if found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/tree/main/?(.*)", path):
            held = FILES.get(found[1])
            listed = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in (held or {}).items()
                if name.startswith(found[2])
            ]
            listed.append({"type": "directory", "path": "assets", "size": 0})
            return None if held is None else json.dumps(listed).encode()
        found = re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/main/(.+)", path)
        return FILES[found[1]].get(found[2]) if found else None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub, a home that is empty, and engines that are looked for anew."""
    running = Hub()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", running.url + "/")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for module in (asr, tts):
        monkeypatch.setattr(module, "_load", functools.cache(module._load.__wrapped__))
    for variable in ("RTNB_WHISPER_MODEL", "RTNB_VOICES"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for faster-whisper, which loads any folder with a model in it; returns what it was asked to load."""
    asked: list[str] = []

    class WhisperModel:
        def __init__(self, model: str, *, local_files_only: bool = False, **options: object) -> None:
            asked.append(model)
            assert local_files_only
            if not (Path(model) / "model.bin").is_file() and model != "someone/whisper-cached":
                raise FileNotFoundError(model)

        def transcribe(self, sound: Any, **options: object) -> tuple[list[Any], None]:
            return [types.SimpleNamespace(text="你好")], None

    fake = types.ModuleType("faster_whisper")
    fake.__spec__ = types.SimpleNamespace(name="faster_whisper")  # type: ignore[assignment]
    fake.WhisperModel = WhisperModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", fake)
    return asked


def test_a_named_whisper_model_is_downloaded_once_its_size_said_first(
    hub: Hub, whisper: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with rtnb.practice(asr="small") as practice:
        assert practice.engines["ears"].startswith("faster-whisper faster-whisper-small")
    folder = tmp_path / "home/.cache/rtnb/Systran/faster-whisper-small"
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.bin", "vocabulary.txt"]
    assert (folder / "model.bin").read_bytes() == FILES["Systran/faster-whisper-small"]["model.bin"]
    shown = capsys.readouterr()
    assert shown.out == f"Downloading model.bin, config.json, vocabulary.txt from {hub.url}: 0.1 MB.\n"
    assert "model.bin" in shown.err  # the bar
    assert "100%" in shown.err
    asked = len(hub.asked)
    with rtnb.practice(asr="small", engines=False):
        assert len(hub.asked) == asked
    assert capsys.readouterr().out == ""


def test_a_model_in_the_cache_of_the_hub_is_not_downloaded(
    hub: Hub, whisper: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in of the hub's package that answers as it documents; not run with the real one."""
    cache = types.ModuleType("huggingface_hub")

    def snapshot_download(repository: str, *, local_files_only: bool) -> str:
        assert local_files_only
        folder = tmp_path / repository.replace("/", "--")
        if not folder.is_dir():
            raise FileNotFoundError(repository)
        return str(folder)

    cache.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", cache)
    (tmp_path / "Systran--faster-whisper-small").mkdir()
    with rtnb.practice(asr="small", engines=False):
        assert hub.asked != [], "what is there holds no weights"
    hub.asked.clear()
    (tmp_path / "someone--whisper-cached").mkdir()
    (tmp_path / "someone--whisper-cached/model.bin").write_bytes(b"x")
    with rtnb.practice(asr="someone/whisper-cached") as practice:
        assert practice.engines["ears"].startswith("faster-whisper whisper-cached")
    assert hub.asked == []
    assert whisper[-1] == "someone/whisper-cached"


def test_a_model_of_any_owner_is_taken_by_its_whole_name(hub: Hub, whisper: list[str], tmp_path: Path) -> None:
    with rtnb.practice(asr="someone/whisper-zh") as practice:
        assert practice.engines["ears"].startswith("faster-whisper whisper-zh")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_taken_as_it_is(hub: Hub, whisper: list[str], tmp_path: Path, kind: Any) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/model.bin").write_bytes(b"x")
    with rtnb.practice(asr=kind(tmp_path / "mine")) as practice:
        assert practice.engines["ears"].startswith("faster-whisper mine")
    assert hub.asked == []


def test_a_named_voice_of_pipers_is_downloaded(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "piper", FakePiper())
    with rtnb.practice(tts="en_US-lessac-medium") as practice:
        assert practice.engines["voice"].startswith("piper (en_US-lessac-medium)")
    assert "en_US-lessac-medium.onnx" in capsys.readouterr().out
    assert not any("MODEL_CARD" in path for path in hub.asked)


@pytest.mark.parametrize("name", ["smal", "nobody/has-this", "large v3"])
def test_a_model_that_is_not_there_is_told_and_leaves_nothing(
    hub: Hub, whisper: list[str], tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=r"cannot be downloaded from http://127.0.0.1.*Check its name and the network"):
        rtnb.practice(asr=name, engines=False)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_download_that_breaks_off_leaves_no_model(hub: Hub, whisper: list[str], tmp_path: Path) -> None:
    hub.cut = True
    with pytest.raises(InputError, match="it broke off"):
        rtnb.practice(asr="small", engines=False)
    assert not (tmp_path / "home/.cache/rtnb/Systran/faster-whisper-small").exists()
    hub.cut = False
    with rtnb.practice(asr="small") as practice:
        assert practice.engines["ears"].startswith("faster-whisper faster-whisper-small")


def test_a_hub_out_of_reach_is_told(hub: Hub, whisper: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="cannot be downloaded"):
        rtnb.practice(asr="small", engines=False)


@pytest.mark.parametrize("what", ["asr", "tts"])
def test_a_folder_without_a_model_is_told_and_the_engines_stay(
    hub: Hub, whisper: list[str], tmp_path: Path, what: str
) -> None:
    before = asr.engine(), tts.engine()
    with pytest.raises(InputError, match=r"cannot be loaded. Check what is in its folder, and install what runs it"):
        rtnb.practice(engines=False, **{what: tmp_path})
    assert (asr.engine(), tts.engine()) == before
