"""Exchange with the server in a call: what the user does goes to the session, and the session's updates to the page."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from rtnb import money as costs
from rtnb.audio import pcm as arithmetic
from rtnb.errors import BudgetExceeded, mask_secrets
from rtnb.opening import connect
from rtnb.protocol import updates
from rtnb.protocol.items import Response, Turns
from rtnb.session.exchanges import BENIGN_CODES, message
from rtnb.session.session import Session
from rtnb.session.turn import trailing_silence
from rtnb.session.updates import Closed, Overspent, ToolRan
from rtnb.ui.call.answer_audio import AnswerAudio
from rtnb.ui.call.approvals import Approvals
from rtnb.ui.call.captions import Captions
from rtnb.ui.shared.kernel_link import KernelLink

# The server refuses to commit less (OpenAI docs: at least 100 ms of audio).
_LEAST_COMMIT_SECONDS = 0.1


class Exchange:
    """Sessions of a call, one after the other. But for `connect` and `append` it lives on the I/O thread.

    Args:
        settings: The arguments of `rtnb.opening.connect`.
        link: The link to the pages.
        end: Ends the call: `end(sentence, reason)`.

    Attributes:
        sessions: All sessions so far, also those before a reconnect.
        open: Whether the session takes anything.
        page: The page that talks; "" while it is away.
        audio: The audio of the answers on its way to the page.
        captions: The turns on their way to the page.
        approvals: The questions of MCP tools that wait for the user.
        respond_next: Whether an answer is to be asked for as soon as that is possible.
        unfollow: Ends following the last session, before the next one begins.
    """

    def __init__(self, settings: Mapping[str, Any], link: KernelLink, end: Callable[[str, str], object]) -> None:
        self.sessions: list[Session] = []
        self.open = self.respond_next = False
        self.page = ""
        self.audio = AnswerAudio(self._send_audio)
        self.captions = Captions(link, self.audio, lambda: self.turns)
        self.approvals = Approvals(link)
        self._settings = {**settings, "approve": settings["approve"] or self.approvals.ask}
        self._link, self._end = link, end
        self.unfollow: Callable[[], None] = lambda: None
        self._taken_over = asyncio.Event()  # set when a page takes the call over
        self._uncommitted_bytes = 0  # audio since the last commit, for push to talk

    @property
    def session(self) -> Session | None:
        """Session now, or the last one. None before the first."""
        return self.sessions[-1] if self.sessions else None

    @property
    def turns(self) -> Turns:
        """Everything said so far, once, also before a reconnect."""
        return Turns(self.session.turns if self.session else ())

    @property
    def cost(self) -> costs.Cost:
        """Cost of all sessions so far."""
        return sum((one.cost for one in self.sessions), costs.Cost())

    @property
    def captions_cost(self) -> costs.Cost:
        """Cost of the user's words in all sessions so far."""
        return sum((one.bill.captions for one in self.sessions), costs.Cost())

    @property
    def source(self) -> str:
        """Source of the answers: `"openai"`, `"practice"` or the host's name; "" before the first session."""
        return self.session.source if self.session else ""

    # --- a new session, with the history of the one before

    def connect(self, wanted: Callable[[], bool], lock: AbstractContextManager[object]) -> Session | None:
        """Begin the next session, which takes up the talk so far; return None where it is not wanted any more."""
        session = connect(show=False, **self._settings)
        if self.sessions:
            session.lifecycle.take_up(self.turns)
        with lock:
            if not wanted():
                session.close()
                return None
            self.sessions.append(session)
            self.audio.answers.clear()
            self.unfollow = session.subscribe(functools.partial(self._update, session))
        session.lifecycle.gate = self._until_a_page_listens
        return session

    # --- what the user does, while the call is open

    def append(self, *pieces: bytes) -> None:
        """Send audio of the microphone, and count it: the server commits none that is too short."""
        for pcm in pieces:
            self._uncommitted_bytes += len(pcm)
            # Not `session.append`: what is said into a session that has just ended is no error of the user's.
            self.sessions[-1].lifecycle.call_soon(self.sessions[-1].lifecycle.queue.add, pcm)

    def commit(self) -> None:
        """End the turn of push to talk and ask for an answer."""
        if self._uncommitted_bytes < arithmetic.byte_count(_LEAST_COMMIT_SECONDS):
            self._link.tell("notice", code="too_short")
            return self.clear()
        self._uncommitted_bytes = 0
        self.sessions[-1].commit()
        self._respond()

    def clear(self) -> None:
        """Throw away the audio that was not committed."""
        self._uncommitted_bytes = 0
        self.sessions[-1].clear()

    def end_recording(self) -> None:
        """End the turn after a recording sent in one go, or send the silence from which the server detects the end."""
        if (detection := self.sessions[-1].lifecycle.turn_detection()) is None:
            return self.commit()
        self.sessions[-1].append(trailing_silence(detection))

    def say(self, text: str) -> None:
        """Add typed words to the conversation and ask for an answer."""
        session = self.sessions[-1]
        if text := text.strip():
            if session.conversation.active_response() is not None:
                session.cancel()
            session.create(message("user", text))
            self._respond()

    def truncate(self, played: Mapping[str, int], *, stop: bool) -> None:
        """Truncate each answer to what the page has played of it; `stop` cancels the active response as well.

        Args:
            played: Milliseconds played, by item id.
            stop: Whether the user stopped the answer.
        """
        session = self.sessions[-1]
        if stop:
            self.cancel()
        never = [(item_id, 0) for item_id, one in self.audio.answers.items() if one.cut and not one.sent_bytes]
        for item_id, played_ms in (*played.items(), *never):
            turn = session.conversation.turn(item_id)
            answer = self.audio.answers.get(item_id)
            if turn is None or answer is None or answer.played_ms is not None:
                continue
            answer.cut, answer.played_ms = True, max(0, played_ms)
            if not self.open:
                # No server says it back any more.
                turn.truncated_ms = min(answer.played_ms, round(turn.audio_ms))
            elif played_ms < turn.audio_ms or turn.status == "in_progress":
                session.truncate(item_id, played_ms)
            self.captions.change(item_id)

    def cancel(self) -> None:
        """Send no more audio of the answer to the page, and cancel the active response."""
        self.audio.hold_back()
        if (active := self.sessions[-1].conversation.active_response()) is not None:
            self.sessions[-1].cancel(active.id)

    def go_on(self) -> None:
        """Ask for the answers that had to wait until a page took the call over."""
        self._taken_over.set()
        self.respond_if_asked()

    async def _until_a_page_listens(self) -> None:
        while not self.page:
            self._taken_over.clear()
            await self._taken_over.wait()

    def respond_if_asked(self) -> None:
        """Ask for the answer that had to wait, if there is one."""
        if self.respond_next:
            self.respond_next = False
            self._respond()

    def _respond(self) -> None:
        if self.open and (not self.page or self.sessions[-1].conversation.active_response() is not None):
            self.respond_next = True  # the API has one response at a time, and somebody must be there to listen
        elif self.open:
            self.sessions[-1].send({"type": "response.create"})

    # --- what the server says

    def _update(self, session: Session, update: Any) -> None:
        match update:
            case updates.AudioDelta(item_id=item_id, pcm=pcm):
                self.audio.push(item_id, pcm)
            case updates.AudioDone(item_id=item_id):
                self.audio.end(item_id)
            case updates.SpeechStarted():
                if interrupts := (session.lifecycle.turn_detection() or {}).get("interrupt_response") is not False:
                    self.audio.hold_back()
                self._link.tell("speech", on=True, silence=interrupts)
            case updates.SpeechStopped():
                self._link.tell("speech", on=False)
            case updates.Committed(item_id=item_id):
                self._link.tell("committed", item=item_id)
                self.captions.change(item_id)
            case updates.InputTranscript(item_id=item_id, final=final):
                self.captions.change(item_id, ended=final)
                if final:
                    self.tell_cost()
            case updates.InputTranscriptFailed(item_id=item_id):
                self.captions.change(item_id, ended=True)
                self._link.tell("notice", code="not_transcribed")
            case updates.ItemAdded(turn=turn):
                self.captions.change(turn.item_id)
            case updates.ItemDone(turn=turn):
                # The user's words come when they are transcribed; everything else is complete.
                self.captions.change(turn.item_id, ended=turn.role != "user" or not turn.spoken)
            case updates.TextDelta(item_id=item_id) | updates.Truncated(item_id=item_id):
                self.captions.change(item_id)
            case ToolRan(item_id=item_id, call=ran):
                self.captions.tool_outputs[item_id] = repr(ran)
                self.captions.change(item_id)
            case Overspent(error=over):
                self._end(str(over), "budget")
            case updates.ResponseStarted():
                self._link.tell("response", on=True)
            case updates.ResponseEnded(response=response):
                self._response_ended(session, response)
            case updates.Errored(error=error):
                self._complain(error)
            case Closed(reason=reason, error=error):
                self.captions.end_all()
                code = "budget" if isinstance(error, BudgetExceeded) else "hung_up" if error is None else "dropped"
                self._end((reason or "The call is over.") if error is None else str(error), code)

    def _response_ended(self, session: Session, response: Response) -> None:
        for item_id in response.item_ids:
            self.audio.end(item_id)  # a cancelled response may leave its audio without an end
            self.captions.change(item_id, ended=True)
        error = (response.status_details or {}).get("error") or {}
        code = str(error.get("code") or "")
        text = response.cut or mask_secrets(str(error.get("message") or ""))
        self._link.tell("response", on=False, status=response.status, code=code, text=text)
        self.tell_cost()
        # After functions the session asks for the answer itself.
        if response.status != "completed" or not any(item.get("name") in session.tools for item in response.calls):
            self.respond_if_asked()

    def _complain(self, error: Mapping[str, Any]) -> None:
        code, said = str(error.get("code") or ""), str(error.get("message") or "")
        # Races every client runs into: a cancel that came too late, a truncation of what was already shorter.
        race = code in BENIGN_CODES or "already shorter than" in said or "Only model output audio" in said
        if not race and code != "session_expired":  # of which the close that follows speaks
            self._link.tell("notice", code="server", text=mask_secrets(said))

    def _send_audio(self, item_id: str, pcm: bytes | None) -> None:
        if pcm is None:
            self._link.tell("audio_end", to=self.page, item=item_id)
        else:
            self._link.tell("audio", to=self.page, buffers=[pcm], item=item_id)

    def tell_cost(self) -> None:
        """Send the pages what the call has cost so far."""
        captions = self.captions_cost
        shown = str(captions) if captions.lines else ""
        self._link.tell("money", text=costs.money(self.cost.usd), captions=shown, source=self.source)
