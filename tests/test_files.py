"""Files that are there whole, or not at all."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rtnb.errors import InputError
from rtnb.texts.files import save_file


def test_a_text_is_written_as_utf_8_and_folders_on_the_way_are_made(tmp_path):
    path = save_file(tmp_path / "a" / "b" / "words.txt", "Grüße, 你好")
    assert path.read_bytes() == "Grüße, 你好".encode()
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "talk.wav"
    path.write_bytes(b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match=r"^The file .*talk.wav cannot be written: No space left on device\. "):
        save_file(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("talk.wav", b"old")]


def test_a_folder_is_no_place_for_a_file(tmp_path):
    with pytest.raises(InputError, match="cannot be written: Is a directory"):
        save_file(tmp_path, b"new")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there.txt").write_bytes(b"old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "there.txt")
    save_file(tmp_path / "link.txt", b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there.txt").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    save_file(tmp_path / "pipe", b"new")
    assert os.read(reader, 10) == b"new"
    assert (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "talk.txt"
    path.write_bytes(b"old")
    path.chmod(0o600)
    save_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_name_as_long_as_the_system_takes_is_taken(tmp_path):
    name = "长" * 81 + ".wav"
    assert save_file(tmp_path / name, b"new").read_bytes() == b"new"


def test_links_in_a_circle_are_no_place(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match=r"^The file .* cannot be written: "):
        save_file(tmp_path / "a", b"new")


def test_where_nothing_can_be_put_beside_a_file_it_is_written_in_place(tmp_path, monkeypatch):
    path = tmp_path / "mounted.txt"
    path.write_bytes(b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(16, "Device or resource busy")))
    save_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-this-name/a.txt", "x" * 300, None, 5, b"bytes"])
def test_what_is_no_path_is_refused_in_words(path):
    with pytest.raises(InputError, match=r"^The file .* cannot be written: .*\. Choose another place\.$"):
        save_file(path, b"new")


def test_half_a_surrogate_pair_in_a_text_or_a_name_does_no_harm(tmp_path):
    assert save_file(tmp_path / "words.txt", "half \ud83d a pair").read_bytes() == b"half \\ud83d a pair"
    with pytest.raises(InputError) as refused:
        save_file(tmp_path / ("x" * 300 + "\udce9"), b"new")
    str(refused.value).encode()


def test_many_threads_may_save_to_one_path(tmp_path):
    path, together = tmp_path / "words.txt", threading.Barrier(16)

    def save(number):
        together.wait(20)
        for _ in range(20):
            save_file(path, str(number) * 10_000)
            assert len(set(path.read_text())) == 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(save, "0123456789abcdef"))
    assert path.stat().st_size == 10_000
    assert list(tmp_path.iterdir()) == [path]
