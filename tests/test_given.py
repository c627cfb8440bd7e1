"""What is given is read, or refused in words: names, addresses, samples and uploads, in every form people hold them."""

import base64
import contextlib
import io
import types
import unicodedata
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import ipywidgets
import numpy as np
import pytest
import soundfile
from dialogue import serve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rtnb
from rtnb.audio import Clip, samples
from rtnb.audio.naming import file_of
from rtnb.errors import AudioError, InputError
from rtnb.session.parts import Message, Recording, read_parts, read_recordings

QUESTION = samples()["question"]
WAV = QUESTION.encode("wav")
FLOATS = QUESTION.array / 32_768
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
FIXTURE = [HealthCheck.function_scoped_fixture]  # the folder is the same for all examples
URI = "data:audio/wav;base64," + base64.b64encode(WAV).decode()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, which is also home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def put(name, data=WAV):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)
    return name


def sound_of(part):
    """Return the samples that one part stands for, which must be one recording."""
    (step,) = read_parts([part])
    assert isinstance(step, Recording), step
    with step.open() as stream:
        return np.frombuffer(b"".join(stream), "<i2")


def is_the_question(heard):
    """Return whether samples at 24 kHz are those of the question, but for rounding."""
    return len(heard) == len(QUESTION.array) and np.abs(heard.astype(int) - QUESTION.array).max() <= 1


def words_of(text):
    """Return what goes out for a text that must be words."""
    (step,) = read_parts([text])
    assert isinstance(step, Message), step
    assert [part["text"] for part in step.content] == [text]
    return step


def answer_words(talk):
    talk.open()
    talk.take_message()
    talk.answer("Yes.")


def answer_recording(talk):
    talk.open()
    talk.take_sound()
    talk.take_message()
    talk.answer("Yes.")


# --- a string that names a file -------------------------------------------------------------------------------------

NAMES = [
    *(
        f"call.{ending}"
        for ending in ("wav", "3gp", "m4b", "mka", "mp2", "ac3", "weba", "dat", "tmp", "x", "WAV", "Mp3")
    ),
    "recording",
    "recordings/take 1",
    "录音",
    "会议录音.m4a",
    "Interview mit Anna, erster Teil.m4a",
    "What is said here?.wav",
    "it's 5.wav",
    "a.b.c",
    ".hidden.wav",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_sound_is_a_recording_whatever_its_name(name):
    put(name)
    assert is_the_question(sound_of(name))
    assert is_the_question(Clip.read(name).array)


@pytest.mark.parametrize(
    "write",
    [
        "{}".format,
        "  {}\n".format,
        '"{}"'.format,
        "'{}'".format,
        "“{}”".format,
        ' "{}" '.format,
        lambda name: name.replace(" ", "\\ "),
        lambda name: f"~/{name}",
        lambda name: f"./{name}",
        lambda name: str(Path(name).resolve()),
        lambda name: Path(name).resolve().as_uri(),
        lambda name: f"file://localhost{quote(str(Path(name).resolve()))}",
        lambda name: f"$HOME/{name}",
        lambda name: f"file:{name}",
        lambda name: unicodedata.normalize("NFD", name),
    ],
)
def test_a_name_is_read_however_it_is_written(write):
    name = put("Gespräch 1 (录音).m4x")
    written = write(name)
    assert is_the_question(sound_of(written))
    assert is_the_question(Clip.read(written).array)
    assert len(read_recordings([written])) == 1


def test_the_ending_of_a_video_or_a_wrong_one_does_not_matter():
    put("talk.png", QUESTION.encode("m4a"))
    (step,) = read_parts(["talk.png"])
    assert isinstance(step, Recording)


def test_a_picture_is_one_whatever_its_name():
    put("photo.wav", PNG)
    put("photo", PNG)
    for part in ("photo.wav", Path("photo.wav"), "photo", Path("photo"), PNG, bytearray(PNG), io.BytesIO(PNG)):
        (step,) = read_parts([part])
        assert [part["type"] for part in step.content] == ["input_image"]
    with open("photo", "rb") as file:
        (step,) = read_parts([file])
    assert step.content[0]["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("notes.txt", b"Dear Anna,\n", "plain text"),
        ("notes.wav", b"Dear Anna,\n", "plain text"),
        ("report.pdf", b"%PDF-1.7\n", "a PDF"),
        ("all.zip", b"PK\x03\x04", "a zip"),
        ("empty.wav", b"", "empty"),
        ("samples.dat", bytes(range(256)) * 9, "no sound file"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_at_the_call(name, data, what):
    put(name, data)
    for part in (name, f'"{name}"', f"./{name}", Path(name), data, io.BytesIO(data)):
        with pytest.raises(AudioError, match=f"it is {what}"):
            read_parts([part])
    with pytest.raises(AudioError, match="Path\\(.*read_text" if "text" in what else "rtnb reads"):
        rtnb.ask(name, practice=True, show=False)
    with pytest.raises(AudioError, match=what):
        rtnb.transcribe(name, practice=True)


MISSING = [
    *(f"missing.{ending}" for ending in ("wav", "3gp", "mp2", "m4b", "mka", "amr", "PNG", "pdf", "txt", "dat", "AVI")),
    "recordings/missing.mp3",
    "~/missing",
    "./missing",
    "../missing.x",
    "/home/anna/missing",
    "C:\\Users\\Anna\\missing",
    "file:///home/anna/missing.wav",
    '"missing.wav"',
    " missing.wav\n",
    "会议录音.m4a",
    "New Recording 12.m4a",
    "my question.wav",
    "/home/anna/the first of all my talks.m4a",
    "*.wav",
]


@pytest.mark.parametrize("name", MISSING)
def test_a_name_of_no_file_is_refused(name):
    for refused in (lambda: read_parts([name]), lambda: rtnb.ask(name, "What?", practice=True, show=False)):
        with pytest.raises(InputError, match=r"^Your text .* there is no such file.*full stop") as error:
            refused()
    assert error.value.part == name
    with pytest.raises((InputError, AudioError), match=r"no (such )?file"):
        Clip.read(name)
    with pytest.raises(InputError):
        read_recordings([name])


WORDS = [
    "Hello",
    "Explain the difference between .mp3 and .wav",
    "What is .wav",
    "Convert to output.mp3",
    "Please play song.mp3",
    "Save it as output.wav",
    "Tell me about node.js",
    "node.js",
    "What is ASP.NET",
    "openai.com",
    "Visit abc.net.au",
    "Is it true and/or false",
    "and/or",
    "TCP/IP",
    "/help",
    "/summarize in one sentence",
    "3.5",
    "v1.2",
    "e.g.",
    "1/2",
    "km/h",
    "Write it as https://example.com/a and stop.",
    "What is said in the recording that I called question.wav",
    "请告诉我，这是不是question.wav",
    "wav",
    "Is it mp3?",
    "data: what is it",
    "data:image/png;base64, is how a data URI begins",
    "~",
    "..",
    "Dear Anna,\nplease listen to\nquestion.wav",
    "C: or D:",
    "re: your mail",
    "x" * 5000 + ".wav",
    "a\0b.wav ok",
]


@pytest.mark.parametrize("text", WORDS)
def test_an_ordinary_sentence_is_words(text):
    words_of(text)


@settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=FIXTURE)
@given(st.text() | st.from_regex(r"[~./\\]{0,3}\w{0,5}( \w+){0,4}[.]?(wav|mp3|js|txt|pdf)?[.?!]?", fullmatch=True))
def test_any_text_is_words_a_file_or_refused_in_words(text):
    with contextlib.suppress(InputError):
        named = file_of(text)
        assert named.source is None or isinstance(named.source, bytes | Path)


def test_a_word_is_not_taken_for_a_text_file_or_a_folder_of_that_name():
    put("hello", b"no sound\n")
    put("notes/a.txt", b"no sound\n")
    words_of("hello")
    words_of("notes")
    with pytest.raises(AudioError, match="folder"):
        read_parts(["notes/"])


def test_a_guess_that_may_be_wrong_is_said():
    put("hello")
    (step,) = read_parts(["hello"])
    assert isinstance(step, Recording)
    assert "full stop" in step.doubt
    assert "'question.wav' at its end is no file here" in words_of("What is said in question.wav").doubt
    put("question.wav")
    assert "'question.wav' at its end does not go with it" in words_of("What is said in question.wav").doubt
    assert "no model opens an address" in words_of("https://example.com/talk").doubt
    assert [file_of(text).doubt for text in WORDS[:3]] == [""] * 3

    with serve(answer_words) as url:
        reply = rtnb.ask("What is said in the recording called question.wav", url=url, show=False).wait(10)
    assert any("sent as words" in warning for warning in reply.warnings)


def test_a_name_behind_a_word_is_told_to_be_a_part_of_its_own():
    put("q.wav")
    with pytest.raises(InputError, match=r"Give the recording as a part of its own: 'q\.wav'\."):
        read_parts(["Summarize q.wav"])


def test_a_name_that_is_nearly_right_is_found_again():
    put("Question.wav")
    with pytest.raises(InputError, match=r"Did you mean 'Question\.wav'\?"):
        read_parts(["qestion.WAV"])


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["https://example.com/a/talk.mp3", "http://h/talk.MP3?x=1", "s3://bucket/talk.mp3"])
def test_the_address_of_a_recording_is_no_recording(address):
    by = "with a program for " if address.startswith("s3") else r"urlretrieve\(\""
    download = f"is an address.*{by}{address[:5]}"
    for part in (address, f" {address}\n", f'"{address}"'):
        with pytest.raises(InputError, match=download):
            read_parts([part, "What?"])
    for read in (Clip.read, lambda part: read_parts([part])[0].open()):
        with pytest.raises(AudioError, match=download):
            read(Path(address))
    with pytest.raises(AudioError, match=download):
        Clip.read(address)


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        f"  {URI}\n",
        URI.replace("data:audio/wav", "data:audio/wav;codecs=1"),
        URI.replace("data:audio/wav", 'data:video/webm;codecs="vp8, opus"'),
        URI.replace("data:audio/wav", "data:video/x-matroska;codecs=avc1,opus"),
        URI.replace("data:audio/wav", "data:application/octet-stream;name=a.wav"),
        URI.replace("data:audio/wav", "data:"),
        URI.replace("data:audio", "DATA:Audio"),
        URI.rstrip("="),
        URI.replace("+", "-").replace("/", "_").replace("audio_wav", "audio/wav"),
        URI.replace("=", "%3D"),
        URI[:200] + "\n" + URI[200:],
        "data:audio/wav," + quote(WAV),
    ],
)
def test_a_data_uri_is_the_recording_in_it(uri):
    assert is_the_question(sound_of(uri))
    assert is_the_question(Clip.read(uri).array)
    assert len(read_recordings(uri)) == 1


def test_a_data_uri_of_a_picture_is_a_picture():
    (step,) = read_parts(["data:image/png;base64," + base64.b64encode(PNG).decode(), "What is it?"])
    assert [part["type"] for part in step.content] == ["input_image", "input_text"]


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("data:audio/wav;base64,%%%", "base64"),
        ("data:audio/wav;base64,UklGRg", "cannot be read"),
        ("data:text/plain,hello", "plain text"),
        ("data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode(), "PDF"),
    ],
)
def test_a_data_uri_of_something_else_is_refused(uri, what):
    with pytest.raises((InputError, AudioError), match=what):
        read_parts([uri])


# --- samples --------------------------------------------------------------------------------------------------------


class Tensor:
    """A tensor as torch's behaves, on a GPU and with a gradient."""

    dtype, ndim = "torch.float32", 2

    def __init__(self, array, *, plain=False):
        self.array, self.plain = array, plain
        self.shape = array.shape

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.array, plain=True)

    def is_floating_point(self):
        return True

    def float(self):
        return self

    def __array__(self, dtype=None, copy=None):
        assert self.plain, "can't convert cuda:0 device type tensor to numpy"
        return self.array


Pair = namedtuple("Pair", "samples rate")


def segment(width=2, channels=1):
    pydub = pytest.importorskip("pydub")
    one = pydub.AudioSegment(QUESTION.pcm, sample_width=2, frame_rate=24_000, channels=1)
    return one.set_sample_width(width).set_channels(channels)


def display(*args, **fields):
    return pytest.importorskip("IPython.display").Audio(*args, **fields)


STEREO = np.stack([FLOATS, FLOATS], axis=1)
HELD = {
    "(rate, array)": lambda: (24_000, QUESTION.array),
    "(array, rate)": lambda: (FLOATS, 24_000),
    "numpy's rate": lambda: (FLOATS.astype(np.float32), np.int64(24_000)),
    "a rate with a point": lambda: (FLOATS, 24_000.0),
    "[rate, array]": lambda: [24_000, QUESTION.array],
    "a list of numbers": lambda: (FLOATS.tolist(), 24_000),
    "channels last": lambda: (24_000, STEREO),
    "channels first": lambda: (STEREO.T, 24_000),
    "one channel": lambda: (FLOATS[None], 24_000),
    "a named pair": lambda: Pair(FLOATS, 24_000),
    "a tensor": lambda: (Tensor(FLOATS[None]), 24_000),
    "Hugging Face": lambda: {"path": "a.wav", "array": FLOATS, "sampling_rate": 24_000},
    "a pipeline": lambda: {"raw": FLOATS, "sampling_rate": 24_000},
    "an answer of a pipeline": lambda: {"audio": FLOATS[None], "sampling_rate": 24_000},
    "torchaudio": lambda: {"waveform": Tensor(FLOATS[None]), "sample_rate": 24_000},
    "torchcodec": lambda: types.SimpleNamespace(
        get_all_samples=lambda: types.SimpleNamespace(data=Tensor(FLOATS[None]), sample_rate=24_000)
    ),
    "Hugging Face undecoded": lambda: {"bytes": WAV, "path": "a.wav"},
    "Hugging Face by its path": lambda: {"bytes": None, "path": put("a.wav")},
    "pydub": segment,
    "pydub, stereo": lambda: segment(channels=2),
    "pydub, 32 bits": lambda: segment(4),
    "IPython, bytes": lambda: display(WAV),
    "IPython, a file": lambda: display(put("a.wav")),
    "IPython, a file by name": lambda: display(filename=put("a.wav")),
    "bytes": lambda: WAV,
    "bytearray": lambda: bytearray(WAV),
    "memoryview": lambda: memoryview(WAV),
    "BytesIO": lambda: io.BytesIO(WAV),
    "an open file": lambda: Path(put("a.wav")).open("rb"),  # noqa: SIM115
    "Path": lambda: Path(put("a.wav")),
    "home": lambda: Path("~") / put("a.wav"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("held", HELD)
def test_samples_with_their_rate_and_files_are_taken_as_they_are_held(held):
    make = HELD[held]
    assert is_the_question(sound_of(make()))
    assert is_the_question(Clip.read(make()).array)
    (recording,) = read_recordings(make())
    with recording.open() as stream:
        assert is_the_question(np.frombuffer(b"".join(stream), "<i2"))
    question, words = read_parts([make(), "What?"])
    assert isinstance(question, Recording)
    assert isinstance(words, Message)


def test_samples_at_another_rate_are_sent_at_24_khz():
    assert len(sound_of((48_000, np.zeros(48_000)))) == 24_000
    assert len(Clip.read((48_000, np.zeros(48_000))).array) == 24_000
    assert Clip.read((48_000, np.zeros(48_000)), rate_hz=None).rate_hz == 48_000


def test_the_display_of_an_array_is_taken():
    assert len(sound_of(display(FLOATS, rate=24_000))) == len(FLOATS)
    with pytest.raises(AudioError, match="urlretrieve"):
        sound_of(display(url="https://example.com/talk.mp3"))


@pytest.mark.parametrize(
    "bare",
    [QUESTION.array, FLOATS, STEREO, FLOATS.tolist(), Tensor(FLOATS[None]), (FLOATS, FLOATS), {"array": FLOATS}],
    ids=lambda bare: type(bare).__name__,
)
def test_samples_without_a_rate_are_refused_with_the_call_that_takes_them(bare):
    for take in (read_parts, lambda parts: rtnb.ask(*parts, practice=True, show=False), read_recordings):
        with pytest.raises((InputError, AudioError), match=r"Clip\.from_array\(array, rate_hz=…\)"):
            take([bare])
    with pytest.raises((InputError, AudioError), match=r"Clip\.from_array|one by one"):
        Clip.read(bare)
    with pytest.raises(InputError, match=r"Clip\.from_array"):
        rtnb.map(bare, "What?", practice=True, out=None, show=False)


def test_a_picture_is_no_recording():
    image = rtnb.Image.read(PNG)
    for refused in (lambda: read_recordings(image), lambda: rtnb.transcribe(image, practice=True)):
        with pytest.raises(InputError, match="recording"):
            refused()
    with pytest.raises(AudioError, match="Your Image is no recording"):
        Clip.read(image)
    with pytest.raises(InputError, match="Your picture is a Clip"):
        rtnb.Image.read(QUESTION)


def test_a_named_tuple_is_not_taken_apart():
    row = namedtuple("Row", "path words")("a.wav", "Hello")
    with pytest.raises(InputError, match=r"^Your part is a Row, a named tuple.*part\.path, part\.words"):
        read_parts([row])


def test_a_wrong_rate_is_refused():
    for rate in (0, 48, -24_000, float("nan"), 10**9):
        with pytest.raises(AudioError, match="no sample rate"):
            read_parts([(FLOATS, rate)])


@pytest.mark.parametrize("rate", ["48000", None, [24_000], "fast", True, 1j])
def test_a_rate_of_another_type_is_refused_in_words(rate):
    with pytest.raises((InputError, AudioError), match="rate_hz"):
        Clip.from_array(FLOATS, rate_hz=rate)
    with pytest.raises((InputError, AudioError), match="rate_hz"):
        Clip.from_pcm(b"\0\0", rate_hz=rate)


# --- uploads --------------------------------------------------------------------------------------------------------


@dataclass
class FileUploadResults:
    """A file as marimo's `mo.ui.file()` returns it."""

    name: str
    contents: bytes


def upload_8():
    widget = ipywidgets.FileUpload()
    file = {"name": "q (1).wav", "type": "audio/wav", "size": len(WAV), "content": memoryview(WAV)}
    widget.value = [{**file, "last_modified": datetime.now(UTC)}]
    return widget


UPLOADS = {
    "Colab": lambda: {"q (1).wav": WAV},
    "ipywidgets 7": lambda: {"q (1).wav": {"metadata": {"name": "q (1).wav", "type": "audio/wav"}, "content": WAV}},
    "ipywidgets 8": lambda: upload_8().value,
    "one of ipywidgets 8": lambda: upload_8().value[0],
    "the widget": upload_8,
    "marimo": lambda: [FileUploadResults("q (1).wav", WAV)],
    "one of marimo": lambda: FileUploadResults("q (1).wav", WAV),
    "marimo's element": lambda: types.SimpleNamespace(value=(FileUploadResults("q (1).wav", WAV),)),
}


@pytest.mark.parametrize("form", UPLOADS)
def test_an_uploaded_file_is_taken_with_its_name(form):
    held = UPLOADS[form]()
    (step,) = read_parts([held])
    assert step.label == "q (1).wav"
    assert is_the_question(sound_of(held))
    clip = Clip.read(held)
    assert (clip.name, is_the_question(clip.array)) == ("q (1).wav", True)


def test_several_uploaded_files_are_all_taken_pictures_too():
    first, second, picture = read_parts([{"a.wav": WAV, "b.wav": WAV, "c.png": PNG}])
    assert [first.label, second.label] == ["a.wav", "b.wav"]
    assert picture.content[0]["type"] == "input_image"
    with pytest.raises(AudioError, match="holds 2 recordings"):
        Clip.read({"a.wav": WAV, "b.wav": WAV})
    with pytest.raises(AudioError, match=r"The file b\.wav .* it is plain text"):
        read_parts([{"a.wav": WAV, "b.wav": b"hello"}])


@pytest.mark.parametrize("empty", [{}, ipywidgets.FileUpload(), [], ()])
def test_nothing_uploaded_is_said(empty):
    with pytest.raises(InputError, match="empty"):
        read_parts([empty])


class Once(io.RawIOBase):
    """A file that comes once, as pipes and `urllib.request.urlopen` return it."""

    def __init__(self, data):
        self.left = data

    def readable(self):
        return True

    def readinto(self, buffer):
        piece, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


class Reader:
    """The least a file can be."""

    def __init__(self, data):
        self.pieces = [data, b""]

    def read(self, _):
        return self.pieces.pop(0)


@pytest.mark.parametrize("make", [lambda data: io.BufferedReader(Once(data)), Reader], ids=["download", "reader"])
def test_what_can_be_read_but_once_is_not_read_before_it_is_sent(make):
    assert is_the_question(sound_of(make(WAV)))
    assert is_the_question(Clip.read(make(WAV)).array)
    (recording,) = read_recordings(make(WAV), single=True)
    with recording.open() as stream:
        assert is_the_question(np.frombuffer(b"".join(stream), "<i2"))
    with serve(answer_recording) as url:
        rows = rtnb.map(make(WAV), "What?", url=url, out=None, show=False).wait(20)
    assert [row.status for row in rows] == ["completed"]


def test_two_questions_may_share_an_open_buffer():
    buffer = io.BytesIO(WAV)
    first, second = (read_parts([buffer])[0].open() for _ in range(2))
    pieces = [(next(first), next(second)) for _ in range(3)]
    assert all(one == other for one, other in pieces)


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        (None, "Give words"),
        (3.5, "Give words"),
        (object(), "Give words"),
        ({"role": "user", "content": "Hi"}, "Give words"),
        (types.SimpleNamespace(audio=QUESTION), r"its \.audio"),
        (Path, "Give words"),
        (rtnb.Image, "Give words"),
        (io.StringIO("hello"), "opened as text"),
        (soundfile.SoundFile(io.BytesIO(WAV)), r"read\(\) returns a ndarray"),
        (np.array(["a.wav", "b.wav"]), "no such file"),
    ],
)
def test_what_is_none_of_these_is_refused_with_what_to_do(part, remedy):
    with pytest.raises((InputError, AudioError), match=remedy):
        read_parts([part])


# --- folders and lists of map ---------------------------------------------------------------------------------------


def test_a_folder_stands_for_its_recordings_and_leaves_hidden_files_alone(here):
    for name in ("b.3gp", "a", "深/c.WAV", ".hidden.wav", "._b.3gp", "__MACOSX/._a", ".cache/d.wav"):
        put(f"rec/{name}")
    put("rec/broken.wav", b"no sound")
    put("rec/notes.txt", b"no sound")
    put("rec/photo.wav.png", PNG)
    names = [step.label for step in read_recordings("rec")]
    assert names == ["a", "b.3gp", "broken.wav", "c.WAV"]
    for written in ('"rec"', "~/rec", Path("rec"), [Path("rec")], "rec/", Path("rec").resolve().as_uri()):
        assert [step.label for step in read_recordings(written)] == names
    put("none/.a.wav")
    with pytest.raises(InputError, match="holds no recordings"):
        read_recordings("none")


def test_map_takes_whatever_is_a_recording():
    put("a.3gp")
    pandas = pytest.importorskip("pandas")
    forms = [
        ("a.3gp", ["a.3gp"]),
        ({"u.wav": WAV, "v.wav": WAV + bytes(2)}, ["u.wav", "v.wav"]),
        (io.BytesIO(WAV), ["(recording)"]),
        ((24_000, QUESTION.array), ["clip"]),
        (URI, ["(recording)"]),
        (pandas.Series(["a.3gp"]), ["a.3gp"]),
        ((path for path in ["a.3gp"]), ["a.3gp"]),
        ({"a.3gp"}, ["a.3gp"]),
    ]
    with open("a.3gp", "rb") as file, serve(answer_recording) as url:
        for clips, names in [*forms, (file, ["(recording)"])]:
            rows = rtnb.map(clips, "What?", url=url, out=None, show=False).wait(20)
            assert [(row.name, row.status) for row in rows] == [(name, "completed") for name in names]
