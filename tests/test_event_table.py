"""Every event in a table: what stands in its rows, what is folded into one, and what is left out."""

import base64
import re
from html import unescape

import pytest

import rtnb
from rtnb.protocol.log import Log


def rows(html: str) -> list[list[str]]:
    """The cells' words of each row, without what unfolds."""
    body = html.partition("<tbody>")[2]
    cells = [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]
    return [[unescape(re.sub(r"<pre>.*?</pre>|<[^>]+>", "", cell, flags=re.DOTALL)) for cell in row] for row in cells]


def pcm(seconds: float) -> str:
    return base64.b64encode(bytes(int(48_000 * seconds))).decode()


@pytest.fixture
def log():
    """A question, and an answer in which the deltas of words and audio alternate."""
    log = Log()
    log.received({"type": "session.created", "session": {"id": "s"}}, 0.1)
    for number in range(3):
        log.sent({"type": "input_audio_buffer.append", "audio": pcm(0.1)}, 0.2 + number / 100)
    log.sent({"type": "input_audio_buffer.commit"}, 0.3)
    log.sent({"type": "input_audio_buffer.append", "audio": pcm(0.1)}, 0.4)
    for word in ("Good ", "morning"):
        where = {"response_id": "r", "item_id": "i", "content_index": 0}
        log.received({"type": "response.output_audio_transcript.delta", "delta": word, **where}, 1.0)
        log.received({"type": "response.output_audio.delta", "delta": pcm(0.2), **where}, 1.1)
    log.received({"type": "response.done", "response": {"id": "r"}}, 1.5)
    return log


def test_a_row_has_time_direction_type_and_size(log):
    first = rows(log._repr_html_())[0]
    assert first == ["0.100 s", "← received", "session.created", "47 B"]
    assert len('{"type":"session.created","session":{"id":"s"}}') == 47


def test_deltas_are_one_row_with_their_sum(log):
    assert [row[2] for row in rows(log._repr_html_())] == [
        "session.created",
        "input_audio_buffer.append × 3",
        "input_audio_buffer.commit",
        "input_audio_buffer.append",
        "response.output_audio_transcript.delta × 2",
        "response.output_audio.delta × 2",
        "response.done",
    ]
    assert unescape(log._repr_html_()).count('"delta": "Good morning"') == 1
    assert "<19,200 bytes of sound>" in unescape(log._repr_html_())
    sizes = {row[2]: row[3] for row in rows(log._repr_html_())}
    assert sizes["response.output_audio.delta × 2"] == "26 KB"  # 2 × 12,800 letters of base64 and their JSON


def test_the_events_of_a_pattern_are_a_log_again(log):
    assert [entry.type for entry in log.of("response.*.delta")] == [
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
    ] * 2
    assert repr(log.of("session.created")) == "Log(0 events sent, 1 received)"


def test_a_long_log_shows_200_rows_and_says_how_many_more():
    log = Log()
    for number in range(250):
        log.received({"type": "rate_limits.updated", "event_id": f"e{number}"}, number)
    shown = log._repr_html_()
    assert len(rows(shown)) == 200
    assert "250 events. 50 more rows are in the log" in shown
    assert rows(shown)[0][0] == "0.000 s"


def test_no_secret_stands_in_it():
    log = Log()
    tools = [{"type": "mcp", "server_label": "x", "authorization": "Bearer sk-proj-4hZk20dk3Lq9sX7w"}]
    log.sent({"type": "session.update", "session": {"tools": tools}}, 0.1)
    assert "4hZk20dk" not in log._repr_html_()


def test_markup_of_a_server_stays_words():
    log = Log()
    log.received({"type": "<b>odd</b>", "x": "</pre><script>"}, 0.1)
    assert "<script>" not in log._repr_html_()
    assert "<b>" not in log._repr_html_()


def test_it_is_chinese_where_the_user_is(log):
    rtnb.language("zh")
    try:
        assert rows(log._repr_html_())[0][1] == "← 收到"
        assert "11 个事件" in log._repr_html_()
    finally:
        rtnb.language("auto")


def test_the_events_of_a_reply_are_dicts_and_a_table():
    with rtnb.connect(practice=True) as chat:
        reply = chat.ask("Good morning").wait(60)
        assert "response.done" in [event["type"] for event in reply.events]
        assert all(type(event) is dict for event in reply.events)
        assert "response.done" in [row[2] for row in rows(reply.events._repr_html_())]
        assert {row[1] for row in rows(reply.events._repr_html_())} == {"← received"}
        assert "→ sent" in {row[1] for row in rows(chat.log._repr_html_())}
