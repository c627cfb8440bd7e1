"""One response, from `response.created` to its one `response.done`, in the recorded order.

A response is written as a generator, so that it reads in the order in which its events are sent. It yields a time to
go on at, or None to wait for an engine. Cancelling closes the generator and ends what is open.
"""

import copy
import json
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.api_errors import Ended
from rtnb.server.protocol.effects import Effect, Respond, Speak, Stop
from rtnb.server.protocol.items import Item
from rtnb.server.protocol.requests import Call, Cut, Fail, Request, Text
from rtnb.server.protocol.response_output import Message, Plan, ResponseOutput, Steps
from rtnb.server.protocol.session import Session
from rtnb.server.protocol.settings import Model


class Response:
    """Response under way.

    Args:
        session: The session that it runs in.
        plan: Its settings.
        ended: Called with it at its end.

    Attributes:
        status: As in the API.
        waits_until: When it wants to go on; None while it waits for an engine.
        usage: None until it has ended.
        output: What it has written.
    """

    def __init__(self, session: Session, plan: Plan, ended: Callable[["Response"], None]) -> None:
        self.id = session.ids.new("resp")
        self.plan = plan
        self.status = "in_progress"
        self.waits_until: float | None = None
        self.usage: Any = None
        self.output = ResponseOutput(session, self.id, plan)
        self._session, self._ended = session, ended
        self._read = counting.count_input()
        self._details: dict[str, Any] | None = None
        self._message: Message | None = None
        self._jobs: dict[str, deque[Any]] = {}  # what engines have answered and the response has not yet taken
        self._steps = self._perform()

    # ------------------------------------------------------------------ driven by the session

    def step(self, woken_at: float | None = None) -> None:
        """Go on as far as it can get now, where it waits for what has come: a time, or (None) an engine."""
        if self.waits_until == woken_at:
            self.waits_until = at = next(self._steps, None)
            if at is not None:
                self._session.at(at, lambda: self.step(at))

    def take(self, job: str, piece: Any) -> None:
        """Take an engine's answer, if it is for one of its jobs."""
        if job in self._jobs:
            self._jobs[job].append(piece)
            if piece is None or isinstance(piece, BaseException):
                del self._jobs[job]
            self.step()

    def cancel(self, reason: str) -> None:
        """End it here: `client_cancelled` or `turn_detected`.

        The exact tail is not recorded; this is the order of the docs' example and of third-party traces: the open
        parts' done events, items `incomplete`, then `response.done` with the tokens made so far.
        """
        self._steps.close()
        self._finish("cancelled", {"reason": reason})

    # ------------------------------------------------------------------ the order of events

    def _perform(self) -> Steps:
        session, plan = self._session, self.plan
        session.send("response.created", response=self._shown())
        try:
            if plan.failure is not None:
                yield session.now
                # Reported: a response refused for quota has a usage of zeros.
                raise Ended("failed", {"error": plan.failure})
            while any(item.transcribing for item in plan.context):
                yield None
            given = (plan.instructions, plan.tools, plan.context, plan.truncation)
            context, self._read = counting.fit(*given, session.model)
            yield from self._answer(self._ask_responder(context))
        except Ended as early:
            self._finish(*early.args)
        else:
            self._finish("completed")

    def _answer(self, pieces: deque[Any]) -> Steps:
        plan = self.plan
        may_call = bool(plan.tools) and plan.tool_choice != "none"
        piece = yield from self._next(pieces)
        while piece is not None:
            if isinstance(piece, Cut):
                yield from self._end_audio()
                raise Ended("incomplete", {"reason": piece.reason})
            if isinstance(piece, Fail):
                self._read = counting.count_input()
                raise Ended("failed", {"error": dict(piece.error)})
            if isinstance(piece, Call):
                if not plan.one_call or all(item.shown["type"] != "function_call" for item in self.output.items):
                    yield from self._write_call(piece)
                piece = yield from self._next(pieces)
                continue
            # 2.x marks what it says before a call as commentary (recorded), so where a call may follow we look ahead
            # before we open a message.
            looked = self._message is None and may_call
            following = (yield from self._next(pieces)) if looked else None
            if isinstance(following, Call) and not self._session.model.second_generation:
                piece = following  # recorded: 1.x calls without a word
                continue
            if self._message is None:
                phase = "commentary" if isinstance(following, Call) else "final_answer"
                self._message = Message(self._session, self.output, plan, phase)
            yield from self._speak(self._message, piece) if plan.spoken else self._message.write(piece.text)
            piece = following if looked else (yield from self._next(pieces))
        yield from self._end_audio()
        self._end_message("completed")

    def _ask_responder(self, context: list[Item]) -> deque[Any]:
        session, plan = self._session, self.plan
        items = []
        for item in context:
            shown = copy.deepcopy(item.shown)
            for part in shown.get("content", ()):
                if part["type"] == "input_audio":
                    part["transcript"] = item.transcript or part["transcript"] or ""
                    part |= {"unintelligible": True} if item.unintelligible else {}
                elif item.truncated_ms is not None:
                    part["transcript"] = ""
            items.append(shown)
        # The client's own statement of what the user speaks.
        language = (session.audio_input["transcription"] or {}).get("language")
        given = (plan.instructions, items, plan.tools, plan.tool_choice, plan.modalities)
        request = Request(*given, language, plan.asked, aside=not plan.in_conversation)
        return self._ask(lambda job: Respond(job, request))

    def _speak(self, message: Message, said: Text) -> Steps:
        voice = self.plan.voice if isinstance(self.plan.voice, str) else self.plan.voice["id"]
        speed = self.plan.speed * said.pace
        pieces = self._ask(lambda job: Speak(job, said.text, voice, speed, gain=said.gain))
        yield from message.speak(said.text, lambda: self._next(pieces))

    def _write_call(self, called: Call) -> Steps:
        ids, output = self._session.ids, self.output
        yield from self._end_audio()
        call_id = ids.new("call")
        fields = {"id": ids.new("item"), "type": "function_call", "status": "in_progress", "name": called.name}
        item = Item({**fields, "call_id": call_id, "arguments": ""})
        place = {"item_id": item.id, "output_index": output.add(item), "call_id": call_id}
        for token in counting.split_tokens(_arguments(called.arguments, self._session.model)):
            output.send_token("response.function_call_arguments.delta", token, **place)
            item.shown["arguments"] += token
            yield from output.after_token()
        # Recorded on 2.1: what was said beside the call ends after the call's last delta.
        self._end_message("completed")
        arguments = item.shown["arguments"]
        output.send("response.function_call_arguments.done", **place, name=called.name, arguments=arguments)
        output.end(item, "completed")

    # ------------------------------------------------------------------ engines

    def _ask(self, effect: Callable[[str], Effect]) -> deque[Any]:
        job = self._session.new_job()
        self._jobs[job] = deque()
        self._session.ask(effect(job))
        return self._jobs[job]

    def _next(self, pieces: deque[Any]) -> Generator[float | None, None, Any]:
        while not pieces:
            yield None
        piece = pieces.popleft()
        if isinstance(piece, BaseException):
            error = {"type": "server_error", "code": None, "message": str(piece) or type(piece).__name__}
            raise Ended("failed", {"error": error}) from piece
        return piece

    # ------------------------------------------------------------------ the end

    def _end_audio(self) -> Steps:
        if self._message is not None:
            yield from self._message.end_audio()

    def _end_message(self, status: str) -> None:
        if self._message is not None:
            self._message.end(status)
            self._message = None

    def _finish(self, status: str, details: dict[str, Any] | None = None) -> None:
        for job in self._jobs:
            self._session.ask(Stop(job))
        self._jobs.clear()
        self._end_message("incomplete")
        for item in [item for item in self.output.items if item.shown["status"] == "in_progress"]:  # a call
            self.output.end(item, "incomplete")
        self.status = status
        self._details = details and {"type": status, **details}
        self.waits_until = None
        self.usage = self.output.usage(self._read)
        self._session.send_held()
        self._session.send("response.done", response=self._shown())
        self._ended(self)

    def _shown(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": self._details,
            "output": [copy.deepcopy(item.shown) for item in self.output.items],
            "conversation_id": self._session.conversation.id if plan.in_conversation else None,
            "output_modalities": list(plan.modalities),
            "max_output_tokens": plan.max_output_tokens,
            "audio": {"output": {"format": dict(plan.format), "voice": plan.voice}},
            "usage": self.usage,
            "metadata": plan.metadata,
        }


def _arguments(arguments: Mapping[str, Any], model: Model) -> str:
    if model.second_generation:
        return json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    # Recorded on gpt-realtime: valid JSON in odd whitespace, which a client must not choke on.
    inner = ",".join(f"\n  {json.dumps(name)}: {json.dumps(value)}" for name, value in arguments.items())
    return f"{{  {inner} \n}} \n" if inner else "{}"
