"""What may be handed to ask."""

import io
from pathlib import Path

import pytest

from rtnb.audio import Clip, samples
from rtnb.errors import InputError
from rtnb.image import Image
from rtnb.session.parts import Message, Recording, read_parts

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Box:
    def __init__(self, *clips):
        self.clips = clips


def test_words_and_sound_keep_their_order_and_neighbouring_words_share_a_message():
    clip = Clip.silence(0.1)
    steps = read_parts(["one", "two", clip, "three"])
    assert steps == [
        Message(({"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"})),
        Recording(clip),
        Message(({"type": "input_text", "text": "three"},)),
    ]
    assert [step.label for step in steps] == ["one two", "Clip(silence, 0.1 s)", "three"]


def test_boxes_and_lists_are_taken_apart():
    first, second = samples()[:2]
    assert [step.source for step in read_parts([Box(first, second)])] == [first, second]
    assert [step.source for step in read_parts([[first, [second]]])] == [first, second]
    with pytest.raises(InputError, match="box is empty"):
        read_parts([Box()])


def test_an_upload_box_gives_its_files_so_that_long_ones_are_streamed(tmp_path):
    class UploadBox(Box):
        sources = (tmp_path / "a.wav",)

    assert read_parts([UploadBox(Clip.silence(1))]) == [Recording(tmp_path / "a.wav")]


def test_paths_bytes_and_open_files_are_recordings(tmp_path):
    path = samples()["question"].save(tmp_path / "q.wav")
    for part in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        (step,) = read_parts([part])
        assert isinstance(step, Recording)


def test_a_string_that_names_a_sound_file_is_that_file(tmp_path):
    path = samples()["question"].save(tmp_path / "q.wav")
    assert read_parts([str(path)]) == [Recording(Path(path))]
    assert isinstance(read_parts(["Say wav."])[0], Message)
    with pytest.raises(InputError, match="there is no such file"):
        read_parts(["missing.m4a"])


def test_pictures_are_content():
    (step,) = read_parts([Image.read(PNG, name="p"), "What is it?"])
    assert [part["type"] for part in step.content] == ["input_image", "input_text"]
    assert step.content[0]["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("parts", [[], [[]], ["   "], [None], [3.5], [{"type": "message"}]])
def test_what_cannot_be_sent_is_refused_with_what_can(parts):
    with pytest.raises(InputError, match=r"Give words|leave it out"):
        read_parts(parts)


def test_a_matplotlib_figure_and_a_pil_image_become_png():
    plt = pytest.importorskip("matplotlib.figure")
    pil = pytest.importorskip("PIL.Image")
    figure = Image.of(plt.Figure())
    picture = Image.of(pil.new("CMYK", (2, 2)))
    assert figure.kind == picture.kind == "png"
    assert figure.data.startswith(b"\x89PNG")


def test_pictures_of_other_kinds_are_converted_and_broken_ones_refused(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    pil.new("RGB", (2, 2)).save(buffer, format="BMP")
    assert Image.read(buffer.getvalue()).kind == "png"
    with pytest.raises(InputError, match="is no picture"):
        Image.read(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read"):
        Image.read(tmp_path / "missing.png")
    with pytest.raises(InputError, match="detail"):
        Image.read(PNG, detail="huge")
