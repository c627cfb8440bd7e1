"""What was said, with its times: cut at pauses, matched by item, as text and subtitles."""

import asyncio
import math

import numpy as np
import pytest
from dialogue import serve
from websockets.exceptions import ConnectionClosedOK

from rtnb.audio import Clip, join, samples
from rtnb.errors import BudgetExceeded, ConnectionFailed, InputError, RtnbError, ServerError
from rtnb.jobs.cutting import Cutter
from rtnb.jobs.subtitles import Segment, cues
from rtnb.jobs.transcribe import MODEL, transcribe
from rtnb.money import Budget


def tone(seconds):
    return Clip.from_array((np.sin(np.arange(int(seconds * 24_000)) / 9) * 0.3).astype(np.float32), rate_hz=24_000)


def talk_of(*lengths, pause=1.0):
    return join([tone(seconds) for seconds in lengths], gap_seconds=pause)


def opened(talk):
    """The beginning of a transcription session as recorded; gives what the client asked for."""
    assert "intent=transcription" in talk.path
    assert "model=" not in talk.path
    heard = {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "turn_detection": {"type": "server_vad"},
    }
    session = {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "sess_1",
        "audio": {"input": heard},
    }
    talk.say({"type": "session.created", "session": session})
    wanted = talk.expect("session.update")["session"]
    talk.say({"type": "session.updated", "session": {**session, **wanted}})
    return wanted


def completed(talk, item_id, words, seconds=1):
    usage = {"type": "duration", "seconds": seconds}
    where = {"item_id": item_id, "content_index": 0}
    kind = "conversation.item.input_audio_transcription"
    for piece in words.split(" ")[:-1]:
        talk.say({"type": f"{kind}.delta", **where, "delta": piece + " "})
    talk.say({"type": f"{kind}.completed", **where, "transcript": words, "usage": usage})


def test_a_recording_is_cut_at_its_pauses_and_each_stretch_has_its_times():
    asked = []

    def script(talk):
        asked.append(opened(talk))
        for number, words in enumerate(["One.", "And two.", "Three."], 1):
            sound = talk.take_sound(f"item_{number}")
            assert len(sound) > 48_000
            completed(talk, f"item_{number}", words)

    with serve(script) as url:
        words = transcribe(talk_of(2, 3, 2), url=url, language="en", keywords=["Oslo"]).wait(10)
    assert words.text == "One. And two. Three."
    assert [(s.start, s.end) for s in words.segments] == [
        (pytest.approx(start, abs=0.31), pytest.approx(end, abs=0.15)) for start, end in [(0, 2), (3, 6), (7, 9)]
    ]
    assert asked[0]["type"] == "transcription"
    heard = asked[0]["audio"]["input"]
    assert heard["turn_detection"] is None
    assert heard["transcription"] == {"model": "gpt-live-transcribe", "languages": ["en"], "keywords": ["Oslo"]}
    assert words.seconds == pytest.approx(9.0)
    # Three seconds at $0.017 a minute (OpenAI's price list): 3 / 60 * 0.017.
    assert words.cost.usd == pytest.approx(0.00085)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"language": "en"}, {"model": "gpt-live-transcribe", "languages": ["en"]}),
        ({"languages": ["en", "pt"]}, {"model": "gpt-live-transcribe", "languages": ["en", "pt"]}),
        ({"languages": "pt", "keywords": "Oslo"}, {"model": MODEL, "languages": ["pt"], "keywords": ["Oslo"]}),
        ({"model": "gpt-transcribe", "language": "pt"}, {"model": "gpt-transcribe", "languages": ["pt"]}),
        ({"model": "gpt-realtime-whisper", "language": "en"}, {"model": "gpt-realtime-whisper", "language": "en"}),
        ({"model": "of-another-server", "language": "en"}, {"model": "of-another-server", "language": "en"}),
        ({}, {"model": "gpt-live-transcribe"}),
    ],
    ids=str,
)
def test_languages_go_to_each_model_as_it_takes_them(given, sent):
    asked = []

    def script(talk):
        asked.append(opened(talk))
        talk.take_sound("item_1")
        completed(talk, "item_1", "One.")

    with serve(script) as url:
        transcribe(tone(2), url=url, **given).wait(10)
    assert asked[0]["audio"]["input"]["transcription"] == sent


def test_a_language_and_a_list_of_them_are_too_many():
    with pytest.raises(InputError, match=r"has both language= and languages=\. Leave one of them out\."):
        transcribe(tone(1), language="en", languages=["en", "pt"], practice=True)


def test_words_that_come_in_another_order_find_their_place():
    def script(talk):
        opened(talk)
        for number in (1, 2, 3):
            talk.take_sound(f"item_{number}")
        for number in (3, 1, 2):
            completed(talk, f"item_{number}", f"Part {number}.")

    with serve(script) as url:
        words = transcribe(talk_of(1, 1, 1), url=url)
        assert [segment.text for segment in words] == ["Part 1.", "Part 2.", "Part 3."]
        assert words.wait(1).text == "Part 1. Part 2. Part 3."


def test_segments_come_while_the_rest_is_still_under_way():
    async def talk_to(url):
        seen = []
        words = transcribe(talk_of(1, 1), url=url)
        async for segment in words:
            seen.append((segment.text, words.done))
        return seen, (await words).text

    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        completed(talk, "item_1", "First.")
        talk.take_sound("item_2")
        talk.say({"type": "session.updated", "session": {}})
        import time

        time.sleep(0.3)
        completed(talk, "item_2", "Second.")

    with serve(script) as url:
        seen, text = asyncio.run(talk_to(url))
    assert seen[0] == ("First.", False)
    assert text == "First. Second."


def test_live_sound_is_given_as_it_comes():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        completed(talk, "item_1", "Live words.")

    with serve(script) as url:
        words = transcribe(url=url)
        pcm = talk_of(1.5).pcm
        for start in range(0, len(pcm), 4800):
            words.append(pcm[start : start + 4800])
        assert words.finish().wait(10).text == "Live words."
        with pytest.raises(InputError, match="too late"):
            words.append(pcm)


def test_speakers_are_told_apart_where_the_model_does():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        kind = "conversation.item.input_audio_transcription"
        for speaker, start, words in (("A", 0.0, "Hello."), ("B", 1.0, "Hi.")):
            part = {"item_id": "item_1", "content_index": 0, "id": f"seg_{speaker}", "speaker": speaker}
            talk.say({"type": f"{kind}.segment", **part, "start": start, "end": start + 0.8, "text": words})
        completed(talk, "item_1", "Hello. Hi.")

    with serve(script) as url:
        words = transcribe(talk_of(2), url=url, model="gpt-4o-transcribe-diarize").wait(10)
    assert [(s.speaker, s.start, s.text) for s in words.segments] == [("A", 0.0, "Hello."), ("B", 1.0, "Hi.")]
    assert "<v B>Hi." in words.vtt()
    assert ">B<" in words._repr_html_()


def test_a_model_that_tells_speakers_apart_gets_passages_with_their_pauses():
    pauses = Cutter(45)
    spoken = [*pauses.feed(talk_of(*[2] * 30).pcm), *pauses.end()]
    cuts = [piece for piece in spoken if isinstance(piece, Segment)]
    lengths = [cut.end_seconds - cut.start_seconds for cut in cuts]
    assert len(cuts) == 2
    assert 45 <= lengths[0] < 50
    assert sum(lengths) > 85


def test_a_stretch_that_fails_is_told_and_the_rest_is_kept():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        error = {"type": "server_error", "code": "DeploymentNotFound", "message": "Input transcription failed."}
        failed = "conversation.item.input_audio_transcription.failed"
        talk.say({"type": failed, "item_id": "item_1", "content_index": 0, "error": error})
        talk.take_sound("item_2")
        completed(talk, "item_2", "But this.")

    with serve(script) as url:
        words = transcribe(talk_of(1, 1), url=url).wait(10)
    assert words.text == "But this."
    assert words.segments[0].error == "Input transcription failed."
    assert words.warnings == ["0:00 could not be transcribed: Input transcription failed."]


def test_where_nothing_at_all_works_it_is_an_error():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        failed = "conversation.item.input_audio_transcription.failed"
        talk.say({"type": failed, "item_id": "item_1", "error": {"message": "No such deployment."}})

    with serve(script) as url, pytest.raises(ServerError, match=r"No such deployment\. Check model="):
        transcribe(talk_of(1), url=url).wait(10)


def test_a_break_is_told_and_keeps_the_words_that_came():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        completed(talk, "item_1", "Kept.")
        talk.take_sound("item_2")
        talk.socket.socket.shutdown(2)

    with serve(script) as url:
        words = transcribe(talk_of(1, 1), url=url)
        with pytest.raises(ConnectionFailed, match="dropped"):
            words.wait(10)
        assert words.text == "Kept."


def test_a_budget_stops_it_before_the_next_stretch():
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        completed(talk, "item_1", "Paid for.", seconds=60)

    with serve(script) as url:
        # The first minute costs $0.017; nothing is left then.
        words = transcribe(talk_of(1, *[1] * 9), url=url, budget=0.001)
        with pytest.raises(BudgetExceeded):
            words.wait(10)


def test_what_was_sent_is_counted_and_nothing_is_held_when_the_budget_stops_it():
    budget = Budget(0.001)  # 3.5 s at $0.017 a minute
    with serve(opened) as url:
        words = transcribe(talk_of(1, *[5] * 4), url=url, budget=budget, timeout=1)
        with pytest.raises(RtnbError):
            words.wait(10)
        assert budget.held == 0
        assert 0.0005 < budget.spent <= 0.001


def test_silence_is_neither_sent_nor_paid_for():
    def script(talk):
        opened(talk)
        assert talk.socket.recv() is None  # nothing comes any more

    with serve(script) as url:
        words = transcribe(Clip.silence(3), url=url).wait(10)
    assert words.text == ""
    assert words.segments == []
    assert words.warnings == ["No speech was found in this recording: it is silent, or very quiet."]


# --- cutting ----------------------------------------------------------------------------------------------------------


def cut(clip, block=4800):
    cutter, sent, cuts = Cutter(), b"", []
    pcm = clip.pcm
    for start in range(0, len(pcm), block):
        for piece in cutter.feed(pcm[start : start + block]):
            cuts.append(piece) if isinstance(piece, Segment) else (sent := sent + piece)
    for piece in cutter.end():
        cuts.append(piece) if isinstance(piece, Segment) else (sent := sent + piece)
    return cuts, sent


@pytest.mark.parametrize("block", [2, 777 * 2, 4800, 1 << 20])
def test_how_the_sound_arrives_does_not_matter(block):
    clip = talk_of(1, 2)
    assert cut(clip, block) == cut(clip)


def test_a_speech_without_a_pause_is_cut_all_the_same():
    cuts, sent = cut(tone(70))
    assert all(piece.end_seconds - piece.start_seconds < 29 for piece in cuts)
    assert len(sent) >= 70 * 48_000 - 960


DIALOGUE = [f"dialogue-{number}" for number in range(1, 7)]


@pytest.mark.parametrize("noise", [0, 0.003, 0.01])
@pytest.mark.parametrize("names", [["talk"], ["talk"] * 3, [*DIALOGUE, "talk", "order", "talk"], DIALOGUE * 3])
def test_no_word_is_cut_in_two(names, noise):
    sound = np.concatenate([samples()[name].array for name in names]) / 32_768
    hiss = np.random.default_rng(1).standard_normal(len(sound)) * noise
    cuts, _ = cut(Clip.from_array((sound + hiss).astype(np.float32), rate_hz=24_000))
    assert all(piece.end_seconds - piece.start_seconds < 25 for piece in cuts)
    for piece in cuts:
        end = round(piece.end_seconds * 24_000)
        # The f of "four o'clock" has a level of 0.010; a pause with the last of a vowel before it has less.
        assert np.sqrt((sound[end - 2_000 : end] ** 2).mean()) < 0.008, piece


def test_noise_in_the_room_is_not_speech():
    rng = np.random.default_rng(1)
    noise = Clip.from_array((rng.standard_normal(24_000 * 6) * 0.01).astype(np.float32), rate_hz=24_000)
    speech = talk_of(2, 2, pause=2.0).array
    mixed = noise.array.astype(int)
    mixed[12_000 : 12_000 + len(speech)] += speech[: len(mixed) - 12_000]
    cuts, _ = cut(Clip.from_array(np.clip(mixed, -32768, 32767).astype(np.int16), rate_hz=24_000))
    assert len(cuts) == 2
    assert cuts[1].start_seconds == pytest.approx(4.2, abs=0.35)


def test_the_shortest_sound_is_long_enough_to_commit():
    cuts, sent = cut(tone(0.03))
    assert len(cuts) == 1
    assert len(sent) >= 4800


# --- subtitles --------------------------------------------------------------------------------------------------------


def test_subtitles_are_short_enough_to_read_and_share_the_time():
    text = "We need six people to plant apple trees, and two people to repair the water pipe. Please bring gloves."
    pieces = list(cues([Segment(10.0, 16.0, text), Segment(20.0, 21.0, "")]))
    assert " ".join(cue.text for cue in pieces) == text
    assert all(len(cue.text) <= 84 for cue in pieces)
    assert pieces[0].start_seconds == 10.0
    assert pieces[-1].end_seconds == pytest.approx(16.0)
    assert pieces[0].end_seconds == pieces[1].start_seconds


def test_srt_and_vtt_are_as_their_formats_want_them(tmp_path):
    def script(talk):
        opened(talk)
        talk.take_sound("item_1")
        completed(talk, "item_1", "a < b & c")

    with serve(script) as url:
        words = transcribe(talk_of(1), url=url).wait(10)
    assert words.save(tmp_path / "x.srt").read_text("utf-8") == "1\n00:00:00,000 --> 00:00:01,000\na < b & c\n"
    assert words.save(tmp_path / "x.vtt").read_text("utf-8") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt; b &amp; c\n"
    )
    assert words.save(tmp_path / "x.txt").read_text("utf-8") == "a < b & c\n"
    with pytest.raises(InputError, match="no subtitles"):
        words.save(tmp_path / "x.pdf")


# --- arguments --------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_told_at_once():
    with pytest.raises(InputError, match="does not transcribe"):
        transcribe(tone(1), model="gpt-realtime-2.1", practice=True)
    with pytest.raises(InputError, match="not one recording"):
        transcribe("Hello there", practice=True)


@pytest.mark.slow
def test_the_practice_server_writes_down_what_it_hears():
    from rtnb.server.engines import asr

    if asr.engine() is None:
        pytest.skip("no recogniser is installed")
    words = transcribe(samples()["question"], practice=True).wait(60)
    assert "capital" in words.text.lower()
    assert words.source == "practice"


def test_a_saved_transcription_is_played_back(tmp_path):
    def script(talk):
        opened(talk)
        for number in (1, 2):
            talk.take_sound(f"item_{number}")
            completed(talk, f"item_{number}", f"Part {number}.")

    clip = talk_of(1, 2)
    with serve(script) as url:
        words = transcribe(clip, url=url).wait(10)
        path = words.session.save(tmp_path / "words.rtnb")
    again = transcribe(clip, replay=path, replay_speed=math.inf).wait(10)
    assert again.segments == words.segments
    assert again.source == "replay"


ENDS = {
    "no word": lambda talk: talk.drop(),
    "1000": lambda talk: talk.end(1000),
    "1001": lambda talk: talk.end(1001),
    "1011": lambda talk: talk.end(1011, "internal error"),
}
ALL = "Part 1 is. Part 2 is. Part 3 is."


def ending(talk, cut, end):
    """Let the server say so many events, and then end the connection."""
    left, say = list(range(cut)), talk.say

    def count(*events):
        for event in events:
            if not left:
                end(talk)
                raise ConnectionClosedOK(None, None)
            left.pop()
            say(event)

    talk.say = count


@pytest.mark.parametrize("late", [False, True], ids=["each at once", "all at the end"])
@pytest.mark.parametrize("end", ENDS)
def test_a_transcription_that_was_cut_is_never_told_as_whole(end, late):
    """Cut before each of the server's 20 events; the words that came are kept, and no stretch is made up for."""
    speech = talk_of(1, 1, 1)
    for cut in range(20):

        def script(talk, cut=cut):
            ending(talk, cut, ENDS[end])
            opened(talk)
            for number in (1, 2, 3):
                talk.take_sound(f"item_{number}")
                if not late:
                    completed(talk, f"item_{number}", f"Part {number} is.")
            for number in (1, 2, 3) if late else ():
                completed(talk, f"item_{number}", f"Part {number} is.")

        with serve(script) as url:
            live = cut % 2
            words = transcribe(None if live else speech, url=url)
            if live:
                words.append(speech.pcm)
                words.finish()
            with pytest.raises(ConnectionFailed):
                words.wait(10)
            assert words.done
            assert ALL.startswith(words.text)
            assert [segment.error for segment in words.segments] == [None] * len(words.segments)
            assert words.warnings == []
