"""The upload box as the kernel sees it: pieces in, answers out, and a sample until somebody has chosen."""

import errno
import hashlib
import os
import random
import shutil
import time
import zlib

import numpy as np
import pytest

import rtnb
from rtnb.errors import AudioError, InputError
from rtnb.ui.shared import frontend
from rtnb.ui.upload import widget as module
from rtnb.ui.upload.widget import UploadBox, upload

PIECE = 256 * 1024
HERE = frontend.Frontend("jupyterlab", True, True, True, True, "the test says so")


class Page:
    """The page's end: what it sends reaches the box, what the box says is kept."""

    def __init__(self, box):
        self.box = box
        self.heard = []
        self.buffers = []
        self.sent = []
        box._widget = self
        self.state = {}

    def send(self, content, buffers=None):
        self.heard.append(content)
        self.buffers.append(buffers)

    def say(self, kind, key="f", buffer=None, *, arrives=True, **fields):
        content = {"kind": kind, "n": len(self.sent) + 1, "page": "p", "ack": True, "id": key, **fields}
        self.sent.append((content, [] if buffer is None else [memoryview(buffer)]))
        if arrives:
            self.deliver(len(self.sent))

    def deliver(self, n, **changed):
        content, buffers = self.sent[n - 1]
        self.box._link.received({**content, **changed}, buffers)

    def repeat(self):
        """Send again what the kernel asked for, and all that followed it."""
        for n in range(self.heard[-1]["from"], len(self.sent) + 1):
            self.deliver(n)

    def piece(self, data, i, key="f", *, arrives=True, **proof):
        part = data[i * PIECE : (i + 1) * PIECE]
        proof = proof or {"sha256": hashlib.sha256(part).hexdigest()}
        self.say("piece", key, part, arrives=arrives, **proof)

    def begin(self, data, key="f", name="question.wav", *, arrives=True):
        self.say("begin", key, name=name, bytes=len(data), arrives=arrives)
        return -(-len(data) // PIECE)

    def upload(self, data, key="f", name="question.wav", *, arrives=True):
        for i in range(self.begin(data, key, name, arrives=arrives)):
            self.piece(data, i, key, arrives=arrives)
        self.say("end", key, arrives=arrives)
        if arrives:
            self.settle()

    def settle(self):
        end = time.monotonic() + 10
        while self.box._checking:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def box():
    return UploadBox()


@pytest.fixture
def page(box):
    return Page(box)


@pytest.fixture(scope="module")
def wav():
    """Several pieces' worth of sound."""
    noise = np.random.default_rng(1).normal(0, 3000, 700_000).astype(np.int16)
    return rtnb.Clip.from_array(noise, rate_hz=24_000).encode("wav")


def test_a_sample_stands_in_and_nothing_waits(box):
    assert box.clip == rtnb.samples()["talk"]
    assert box.clips == [box.clip]
    assert box.files == ()
    assert repr(box) == "UploadBox(the sample 'talk' until a recording is uploaded)"
    assert upload(sample="question").clip == rtnb.samples()["question"]


def test_without_a_sample_an_empty_box_says_what_to_do():
    empty = upload(sample=False)
    assert repr(empty) == "UploadBox(empty)"
    with pytest.raises(InputError, match=r"^Your upload box is empty\. .* run this cell again\.$"):
        empty.clip  # noqa: B018
    with pytest.raises(InputError, match="does not exist"):
        upload(sample="nonsense")


def test_a_file_arrives_whole_and_proved(box, page, wav):
    page.upload(wav)
    (file,) = box.files
    assert (file.name, file.bytes, file.error) == ("question.wav", len(wav), None)
    assert file.sha256 == hashlib.sha256(wav).hexdigest() == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert file.seconds == pytest.approx(700_000 / 24_000)
    assert [answer["upto"] for answer in page.heard if answer["kind"] == "ack"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert page.heard[-1] == {"kind": "taken", "n": 1, "id": "f"}
    assert box.clip.name == "question.wav"
    assert box.clip.seconds == pytest.approx(file.seconds)
    assert box.sources == [file.path]  # streamed by ask, not read here
    assert page.state["files"][0]["name"] == "question.wav"


def test_a_lost_piece_is_asked_for_once_and_then_all_goes_on(box, page, wav):
    pieces = page.begin(wav)
    page.piece(wav, 0)
    page.heard.clear()
    for i in range(1, pieces):
        page.piece(wav, i, arrives=i > 1)
    page.say("end")
    assert page.heard == [{"kind": "again", "to": "p", "from": 3}]
    page.repeat()
    page.settle()
    assert box.files[0].sha256 == hashlib.sha256(wav).hexdigest()


def test_a_damaged_piece_is_asked_for_again_and_never_written(box, page, wav):
    page.begin(wav)
    page.piece(wav, 0, arrives=False)
    page.deliver(2, sha256="0" * 64)
    assert page.heard == [{"kind": "ack", "to": "p", "upto": 1}, {"kind": "again", "to": "p", "from": 2}]
    page.deliver(2, sha256="1" * 64)  # and once more
    assert page.heard[1:] == [{"kind": "again", "to": "p", "from": 2}] * 2
    page.repeat()
    for i in range(1, 6):
        page.piece(wav, i)
    page.say("end")
    page.settle()
    assert box.files[0].sha256 == hashlib.sha256(wav).hexdigest()


def test_pieces_in_any_order_twice_and_damaged_still_make_the_same_file(wav):
    for seed in range(20):
        chance = random.Random(seed)
        box = UploadBox()
        page = Page(box)
        page.upload(wav, arrives=False)
        last, n = len(page.sent), 1
        for _ in range(10_000):
            if box.files or box._checking:
                break
            # A page obeys the answers; the line between loses, repeats and damages.
            n = page.heard.pop()["from"] if page.heard and page.heard[-1]["kind"] == "again" else n
            fate = chance.random()
            if fate < 0.15:
                n += 1  # lost
            elif fate < 0.25 and 1 < n < last:
                page.deliver(n, sha256="f" * 64)
                n += 1
            elif fate < 0.35 and n > 1:
                page.deliver(chance.randrange(1, n))  # an old one once more
            elif n <= last:
                page.deliver(n)
                n += 1
            if n > last:
                box._link.received({"kind": "probe", "page": "p", "upto": last})
        page.settle()
        assert box.files[0].sha256 == hashlib.sha256(wav).hexdigest(), seed


def test_a_page_without_sha256_proves_by_crc32(box, page):
    data = rtnb.samples()["question"].encode("flac")
    page.begin(data, name="q.flac")
    page.piece(data, 0, arrives=False, crc32=zlib.crc32(data))
    page.deliver(2, crc32=zlib.crc32(data) ^ 1)
    assert page.heard[-1]["kind"] == "again"
    page.repeat()
    page.say("end")
    page.settle()
    assert box.files[0].name == "q.flac"


def test_a_piece_without_any_proof_counts_for_nothing(box, page):
    page.begin(b"abc")
    page.say("piece", buffer=b"abc")
    assert page.heard[-1]["kind"] == "again"
    assert box.files == ()


def test_the_kernel_answers_where_it_stands(page, wav):
    page.begin(wav)
    page.piece(wav, 0)
    page.box._link.received({"kind": "probe", "page": "p", "upto": 2})
    assert page.heard[-1] == {"kind": "ack", "to": "p", "upto": 2}


def test_a_file_whose_beginning_never_came_fails_in_words(page):
    page.say("end", "never")
    assert page.heard[-1]["kind"] == "failed"
    assert page.heard[-1]["why"] == "lost"


def test_a_file_of_the_wrong_size_fails_in_words(box, page):
    page.say("begin", name="a.wav", bytes=10)
    page.piece(b"abc", 0)
    page.say("end")
    assert page.heard[-1] == {"kind": "failed", "n": 1, "id": "f", "why": "short", "problem": "3 / 10 B"}
    assert box.files == ()


def test_a_broken_file_shows_its_error_and_never_hides_behind_the_sample(box, page):
    page.upload(b"<html>log in first</html>", name="lecture.mp3")
    problem = page.state["files"][0]["problem"]
    assert problem.startswith("The file lecture.mp3 cannot be read")
    with pytest.raises(AudioError, match=r"lecture\.mp3"):
        box.clip  # noqa: B018
    page.upload(rtnb.samples()["question"].encode("mp3"), key="g", name="good.mp3")
    assert [clip.name for clip in box.clips] == ["good.mp3"]


def test_an_empty_file_is_a_broken_one(box, page):
    page.upload(b"", name="nothing.wav")
    assert "empty" in str(box.files[0].error)


def test_several_files_stand_in_order_and_the_last_is_the_clip(box, page):
    names = ["one.ogg", "two.ogg", "three.ogg"]
    for n, name in enumerate(names):
        page.upload(rtnb.samples()[n].encode("opus"), key=name, name=name)
    assert [clip.name for clip in box.clips] == names
    assert box.clip.name == "three.ogg"
    assert repr(box) == "UploadBox(one.ogg, two.ogg, three.ogg)"
    page.say("remove", "three.ogg")
    assert box.clip.name == "two.ogg"
    assert [file["name"] for file in page.state["files"]] == names[:2]


def test_a_box_for_one_file_holds_the_newest():
    box = upload(multiple=False)
    page = Page(box)
    for name in ("first.ogg", "second.ogg"):
        page.upload(rtnb.samples()["question"].encode("opus"), key=name, name=name)
    assert [file.name for file in box.files] == ["second.ogg"]


def test_an_upload_stopped_half_way_leaves_nothing(box, page, wav):
    page.begin(wav)
    page.piece(wav, 0)
    path = box._transfers.arriving["f"].path
    assert path.exists()
    page.say("remove")
    page.piece(wav, 1)  # was under way
    assert not path.exists()
    assert box.files == ()
    assert box.clip == rtnb.samples()["talk"]


def test_names_of_other_systems_and_of_bad_people_stay_in_the_folder(box, page):
    for n, name in enumerate(["../../etc/passwd", "C:\\Users\\me\\问题.wav", "", ".hidden", "x" * 300 + ".wav"]):
        page.upload(rtnb.samples()["question"].encode("opus"), key=str(n), name=name)
    folder = box.files[0].path.parent
    assert folder.name.startswith("rtnb-upload-")
    for file in box.files:
        assert file.path.parent == folder
        assert len(file.path.name) < 100
    assert box.files[1].path.name.endswith("问题.wav")


def test_a_full_disk_is_told_in_the_box(box, page, wav, monkeypatch):
    page.begin(wav)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", full)
    page.piece(wav, 0)
    monkeypatch.undo()
    assert page.heard[-1] == {"kind": "failed", "n": 1, "id": "f", "why": "disk", "problem": "No space left on device"}


def test_nonsense_from_a_page_does_nothing(box, page):
    for nonsense in (None, "x", [], {}, {"kind": "dance"}, {"kind": "piece", "i": 3}, {"kind": "dance", "n": 1}):
        box._link.received(nonsense, [])
    assert box.files == ()


def test_a_reloaded_page_can_listen_to_what_the_kernel_has(box, page):
    data = rtnb.samples()["question"].encode("opus")
    page.upload(data)
    page.say("listen")
    assert (page.heard[-1]["kind"], page.heard[-1]["to"], page.buffers[-1]) == ("audio", "p", [data])
    page.say("listen", "sample")
    assert page.buffers[-1] == [rtnb.samples()["talk"].encode("opus")]


def test_without_widgets_it_is_a_sentence_that_says_what_to_do(box, monkeypatch):
    bundle = box._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "Give a path instead" in bundle["text/html"]
    assert "talk" in bundle["text/html"]


def test_waiting_ends_at_once_where_nobody_is(monkeypatch):
    begin = time.monotonic()
    box = upload(wait=True)
    assert time.monotonic() - begin < 5  # it gives a page that says nothing six
    assert box.clip == rtnb.samples()["talk"]


def test_on_colab_waiting_is_colabs_own_button(monkeypatch):
    import sys
    from types import ModuleType

    data = rtnb.samples()["question"].encode("opus")
    files = ModuleType("google.colab.files")
    files.upload = lambda: {"mine (1).ogg": data}
    colab = ModuleType("google.colab")
    colab.files = files
    for name, it in {"google": ModuleType("google"), "google.colab": colab, "google.colab.files": files}.items():
        monkeypatch.setitem(sys.modules, name, it)
    monkeypatch.setattr(module.frontend, "detect", lambda: frontend.Frontend("colab", True, True, False, True, "test"))
    box = upload(wait=True)
    assert (box.clip.name, box.files[0].sha256) == ("mine (1).ogg", hashlib.sha256(data).hexdigest())


def test_nothing_of_a_file_is_widget_state(monkeypatch):
    monkeypatch.setattr(module.frontend, "detect", lambda: HERE)
    box = UploadBox()
    bundle = box._repr_mimebundle_()
    assert box._widget.place in bundle["text/html"]
    widget = box._widget
    page = Page(box)
    box._widget = widget
    page.begin(b"abc", name="secret.wav")
    page.piece(b"abc", 0)
    page.say("end")
    page.settle()
    state = {key: value for key, value in widget.get_state().items() if key not in ("_esm", "_css")}
    assert b"abc" not in repr(state).encode()
    assert len(repr(state)) < 3000


def test_a_file_on_its_way_from_a_page_that_goes_away_is_told_and_leaves_nothing_behind():
    box = UploadBox(sample=False)
    page = Page(box)
    data = os.urandom(PIECE + 5)
    page.begin(data, name="lecture.wav")
    page.piece(data, 0)
    place = box._transfers.arriving["f"].path
    assert place.exists()
    gone = [{"id": "f", "name": "lecture.wav", "bytes": len(data)}, {"id": "g", "name": "b", "bytes": 3}]
    box._link.received({"kind": "bye", "page": "p", "files": gone})  # the last word of a page has no number
    assert not place.exists()
    told = {file["name"]: (file["id"], file["failed"], file["checking"]) for file in page.state["files"]}
    assert told == {"lecture.wav": ("f", "reload", False), "b": ("g", "reload", False)}
    assert box.files == ()
    page.piece(data, 1)  # came late
    assert box.files == ()
    # Given once more, and the other one taken away, the box is as if nothing had been.
    for i in range(page.begin(data, key="h", name="lecture.wav")):
        page.piece(data, i, key="h")
    page.say("end", "h")
    page.say("remove", "g")
    while box._checking:
        time.sleep(0.01)
    assert [(file["name"], file["failed"]) for file in page.state["files"]] == [("lecture.wav", "")]
    assert box.files[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_longer_than_its_page_said_is_dropped_at_once(box, page, wav):
    page.begin(wav[:PIECE])
    page.piece(wav, 0)
    path = box._transfers.arriving["f"].path
    page.piece(wav, 1)
    assert page.heard[-1]["why"] == "short"
    assert f"/ {PIECE} B" in page.heard[-1]["problem"]
    assert not path.exists()
    assert box._transfers.arriving == {}


@pytest.mark.parametrize("size", [-1, None, "9", float("nan"), [], {}])
def test_a_size_that_is_none_holds_nothing(box, page, wav, size):
    page.say("begin", name="question.wav", bytes=size)
    page.piece(wav, 0)
    assert page.heard[-1]["why"] == "short"
    page.upload(wav, key="g")
    assert box.clip.seconds > 0


def test_what_the_disk_has_no_room_for_is_not_begun(box, page, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9_000, 8_000, 1_000))
    page.say("begin", "f", name="film.mp4", bytes=600)
    for key, size in (("g", 600), ("h", 10**18)):
        page.say("begin", key, name="film.mp4", bytes=size)
        assert (page.heard[-1]["id"], page.heard[-1]["why"]) == (key, "disk")
        assert os.strerror(errno.ENOSPC) in page.heard[-1]["problem"]
    page.say("begin", "i", name="film.mp4", bytes=400)
    assert [*box._transfers.arriving] == ["f", "i"]


def test_a_page_hears_so_much_of_a_large_file_and_no_more(box, page, wav, monkeypatch):
    monkeypatch.setattr(module, "_PLAYED_BYTES", 100)
    page.upload(wav)
    page.say("listen")
    assert page.buffers[-1] == [wav[:100]]
