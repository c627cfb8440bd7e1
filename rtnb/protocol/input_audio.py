"""Input audio by its items: what we send matters to the conversation only for knowing which audio became which item."""

from rtnb.audio.pcm import BYTES_PER_MS


class InputAudio:
    """Offsets into the audio appended over the whole talk, for one server session, whose buffer is empty at first.

    Args:
        appended_bytes: Size of all that was appended before this server session.

    Attributes:
        appended_bytes: Size of all that was appended, over every server session.
    """

    def __init__(self, appended_bytes: int) -> None:
        self.appended_bytes = appended_bytes
        self._session_start = appended_bytes  # before the present server session: its offsets count from here
        self._buffer_start = appended_bytes  # where the input audio buffer begins
        self._commits: list[int] = []  # where each commit we sent ends
        self._clears: list[int] = []
        self._speech: dict[str, list[int | None]] = {}  # item id → [start, end] in milliseconds

    def sent(self, type_: str) -> None:
        """Take note of a client event, by its type."""
        if type_ == "input_audio_buffer.commit":
            self._commits.append(self.appended_bytes)
        elif type_ == "input_audio_buffer.clear":
            self._clears.append(self.appended_bytes)

    def speech(self, item_id: str, start_ms: int | None, end_ms: int | None) -> None:
        """Take note of where the server detected speech, or where it began; `end_ms` is None until it is known."""
        self._speech[item_id] = [start_ms, end_ms]

    def speech_stopped(self, item_id: str, end_ms: int) -> None:
        """Take note of where speech that the server detected ended."""
        self._speech.setdefault(item_id, [0, None])[1] = end_ms

    def expects(self, item_id: str) -> bool:
        """Return whether an item is to come: a commit was sent, or speech was detected, of which none has come yet."""
        return bool(self._commits) or item_id in self._speech

    def committed(self, item_id: str) -> tuple[int, int]:
        """Return the stretch that became an item, in bytes: by the server's offsets, else all since the last item."""
        start_ms, end_ms = self._speech.pop(item_id, (None, None))
        start, end = (self._session_start + (ms or 0) * BYTES_PER_MS for ms in (start_ms, end_ms))
        if end_ms is None:
            start, end = self._buffer_start if start_ms is None else start, self._next(self._commits)
        self._buffer_start = end
        return start, end

    def cleared(self) -> None:
        """Take note that the server emptied its buffer."""
        self._buffer_start = self._next(self._clears)

    def _next(self, sent: list[int]) -> int:
        """Return where the buffer stood when we sent the event that the server answers now, or where it stands."""
        return sent.pop(0) if sent else self.appended_bytes
