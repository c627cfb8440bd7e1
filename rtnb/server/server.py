"""Practice server to start and to stop in a program; `rtnb practice` on the command line does the same."""

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtnb import html
from rtnb.errors import InputError, keep_secret
from rtnb.server import local_models
from rtnb.server.engines.engines import Engines, canned, installed
from rtnb.server.faults import draw, read_faults
from rtnb.server.llm.remote import Remote
from rtnb.server.protocol.session import Options
from rtnb.server.script import read_script
from rtnb.server.sockets import Server, ServerConfig
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate
from rtnb.web import tls as certificates
from rtnb.web.origins import OriginCheck, is_loopback


class Practice(AbstractContextManager["Practice"], AbstractAsyncContextManager["Practice"]):
    """Running practice server, on a thread and a loop of its own. Close it, or use it in a `with` or `async with`.

    Attributes:
        port: Port it listens on.
        asks_for_key: Whether clients need the server's own key; else any will do.
        certificate: The PEM certificate that clients must trust, where one was made on the spot; "" otherwise.
        warm: Done when the engines are loaded, which the first answer would otherwise wait for.

    Examples:
        >>> with rtnb.practice() as server:
        ...     rtnb.ask("Repeat after me: yes", url=server.url, modalities="text", show=False).wait().text
        'yes.'
    """

    def __init__(self, config: ServerConfig, engines: Engines, *, certificate: str = "") -> None:
        self.certificate = certificate
        self._config, self._engines = config, engines
        self._pool = _threads(4 + (os.cpu_count() or 1))
        self._server = Server(config, engines, self._pool)
        self._stop = asyncio.Event()
        self.port = config.port  # until it listens
        self.asks_for_key = config.key is not None
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rtnb-practice", daemon=True)
        self._thread.start()
        try:
            self.port = ready.result()
        except OSError as error:
            self._pool.shutdown()
            text = f"The address {config.host}:{config.port} cannot be listened on: {error.strerror or error}. "
            text += "Choose another port, or 0 for a free one."
            raise InputError(text, host=config.host, port=config.port) from error
        self.warm = self._pool.submit(engines.warm_up)

    @property
    def url(self) -> str:
        """`ws://HOST:PORT/v1/realtime` (or `wss://`), for WebSocket clients."""
        return f"{'wss' if self._config.tls else 'ws'}://{self._address}/v1/realtime"

    @property
    def base_url(self) -> str:
        """`http://HOST:PORT/v1` (or `https://`), for OpenAI's own clients."""
        return f"{'https' if self._config.tls else 'http'}://{self._address}/v1"

    @property
    def _address(self) -> str:
        host = self._config.host
        # Listening everywhere is no address to go to: on this computer it is the loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def engines(self) -> dict[str, str]:
        """Names of the recogniser ("ears"), the voice and the LLM ("brain"), if any; "" where one is missing."""
        return dict(self._engines.names)

    def has_fault(self, name: str) -> bool:
        """Return whether something of this name (`"drop"`, without numbers) goes wrong in every session."""
        return self._config.faults.has(name)

    @property
    def session_ids(self) -> list[str]:
        """Ids of the sessions that are open now."""
        return list(self._server.sessions)

    @property
    def closed(self) -> bool:
        """Return whether it has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End every session (its client sees 1001) and the server. Safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self.close)

    @property
    def told(self) -> str:
        """Names of the engines, in a line."""
        names = self._names_shown | ({"brain": self.engines["brain"]} if self.engines.get("brain") else {})
        closed = [say("closed")] if self.closed else []
        return ", ".join([*(f"{translate(what)}: {name}" for what, name in names.items()), *closed])

    @property
    def _names_shown(self) -> dict[str, str]:
        return {what: self.engines.get(what) or translate("none") for what in ("ears", "voice")}

    def __repr__(self) -> str:
        return f"Practice({self.url}, {self.told})"

    def _repr_html_(self) -> str:
        facts = {"for WebSocket clients": self.url, "for OpenAI's clients": self.base_url, **self._names_shown}
        return html.card("Practice server (closed)" if self.closed else "Practice server", [*facts.items()])

    def _run(self, ready: Future[int]) -> None:
        try:
            with asyncio.Runner(loop_factory=_fast_loop()) as runner:
                self._loop = runner.get_loop()
                runner.run(self._server.run(ready.set_result, self._stop))
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            elif not isinstance(error, OSError):
                raise


def _threads(count: int) -> ThreadPoolExecutor:
    """Make a pool whose threads run already: the caller that starts one waits for it, and all sessions with it."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="rtnb-practice-engine")
    all_here = threading.Barrier(count)
    for _ in range(count):
        pool.submit(all_here.wait)
    return pool


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop, which keeps up with hundreds of sessions where asyncio's lags; None where it is missing.

    `tests/benchmarks/bench_practice_load.py` shows both (`--loop asyncio`).
    """
    try:
        import uvloop
    except ImportError:  # Windows among others
        return None
    return uvloop.new_event_loop


@checks_call
def start(
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    allow_origins: str | Sequence[str] = (),
    beta: bool = False,
    faults: str = "",
    seed: int | None = None,
    pace: float = 12.0,
    session_seconds: float = 3600.0,
    engines: bool | Engines = True,
    asr: str | os.PathLike[str] | None = None,
    tts: str | os.PathLike[str] | None = None,
    llm: str | None = None,
    brain: str | None = None,
    brain_model: str | None = None,
    brain_key: str | None = None,
    script: Sequence[Mapping[str, Any]] | None = None,
    record: str | os.PathLike[str] | None = None,
    models: tuple[str, ...] = (),
    sessions: int = 1_000,
    tls: bool = False,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
) -> Practice:
    """Start a practice server beside your program: the Realtime API on this computer, without a key or a network.

    Args:
        host: The address to listen on. Anything beyond this computer asks for `key`. Several: the first is listened
            on, the others are names that clients may call the server by, besides loopback names and addresses.
        port: The port; 0 takes a free one.
        key: The key that clients must bring. None takes any key, but not none: the real server asks for one too.
        allow_origins: Origins of web pages that may use the server, e.g. `"http://localhost:3000"`. Programs may
            always; other pages are refused with HTTP 403, where OpenAI's server would let them in: without this any
            page you read could use the server, and through it the key of its `brain`.
        beta: Also speak the Beta interface of 2024 to clients that send its header.
        faults: What goes wrong in every session, e.g. `"delay:0.2,drop:40"`; a client can ask for more by `?fault=`.
            `rtnb.server.faults.FAULTS` lists them. `"clinic:1"`, `"clinic:2"` or `"clinic:3"` draws one of four and
            does not say which (`Practice.has_fault`): the first level says so itself, the third is hard to find.
        seed: Makes ids and faults repeat from run to run. None makes each run different.
        pace: Sound goes out this many times faster than it plays (the real server: about 12); 0 sends it all at once.
        session_seconds: How long a session may last.
        engines: True transcribes, responds and speaks with what is installed; False with nothing (canned words and a
            hum); or engines of your own.
        asr: A Whisper model that recognises speech, for this whole program: its folder, or its name (`"small"`, or
            `"owner/name"` on the Hugging Face hub). A named one that is not here is downloaded, its size said first.
            Needs faster-whisper. None: what is installed; the variable RTNB_WHISPER_MODEL names a model likewise, and
            never downloads it.
        tts: Voices that speak, for this whole program: a folder with voices of Piper or Kokoro, or the name of one of
            Piper's (`"en_US-lessac-medium"`), downloaded likewise. Needs piper-tts or kokoro-onnx. None: what is
            installed, with the voices in the folder that the variable RTNB_VOICES names.
        llm: `"auto"` looks for Ollama, LM Studio, llama.cpp and vLLM on this computer's usual ports, takes the model
            `brain_model` or else the first, and prints which it is and what it will be sent. Or an address, as `brain`.
        brain: The base URL of any OpenAI-compatible chat server that responds, e.g. `http://localhost:11434/v1`.
        brain_model: The model to ask it for. Needed with an address.
        brain_key: Its key; None where it asks for none.
        script: Answers for tests and lessons, a list of steps. A step is a dict: `when` is what it waits for, words
            that what is asked must hold (typed, spoken or in the response's own instructions; case and marks do not
            matter); `say` is what it answers; `call` and `with` are the function it calls and its arguments; `fail` is
            how it ends: `"rate_limit_exceeded"`, `"insufficient_quota"`, `"server_error"`, or incomplete with
            `"content_filter"` or `"max_output_tokens"`. A step without `when` comes after the one above it: it takes
            the next response, whatever is asked, a function's result among it (at the top of the list: the first
            response). What no step waits for is answered as without a script. Each session begins it anew, and
            out-of-band responses follow it for themselves.
        record: A directory in which every session is written down, one JSON line an event. None writes nothing.
        models: Model names to serve besides the API's own.
        sessions: The most sessions at once.
        tls: Serve `wss://` with a certificate made on the spot (`Practice.certificate`).
        tls_cert: Serve `wss://` with this PEM certificate.
        tls_key: Its PEM key. None where the certificate's file holds it too.

    Returns:
        The running server.

    Raises:
        InputError: The arguments do not go together, or the address cannot be listened on.

    Examples:
        >>> script = [
        ...     {"when": "hello", "say": "Hello to you."},
        ...     {"when": "weather", "say": "Let me look.", "call": "get_weather", "with": {"city": "Oslo"}},
        ...     {"say": "It is sunny in Oslo."},  # to the function's result
        ...     {"fail": "rate_limit_exceeded"},  # and to the question after that
        ... ]
        >>> with rtnb.practice(script=script) as practice:
        ...     rtnb.ask("Hello there!", url=practice.url, key="any").wait().text
        'Hello to you.'
    """
    # As functions, which no traceback shows.
    held, brain_held = (keep_secret(one) if one and one.strip() else None for one in (key, brain_key))
    key = brain_key = None
    hosts = [host] if isinstance(host, str) else [*host]
    address = hosts[0]
    pages = [allow_origins] if isinstance(allow_origins, str) else allow_origins
    if not is_loopback(address) and not (held and held()):
        text = f"The address {address} can be reached from other computers, and no key protects the server. "
        raise InputError(text + "Give a key, or listen on 127.0.0.1.", host=address)
    if not 0 <= port <= 65_535:
        raise InputError(f"Your port {port} is none there is. Give 1 to 65535, or 0 for a free one.", port=port)
    if not 0 <= pace <= 10_000:
        raise InputError(f"The pace {pace} makes no sense. Give a number from 0 (all at once) to 10000.")
    if session_seconds <= 0:
        raise InputError(f"A session cannot last {session_seconds} seconds. Give a number above 0.")
    if llm == "auto":
        brain, brain_model = local_models.choose(brain_model)
    brain = brain or llm
    if brain is not None and not brain_model:
        raise InputError("The chat server in `brain` needs to know which model to use. Give `brain_model` too.")
    remote = Remote(brain, brain_model, brain_held) if brain is not None and brain_model else None
    if asr or tts:
        from rtnb.server.engines import named_models  # not at the top: without engines their half a second is spared

        named_models.use(asr, tts)
    if not isinstance(engines, Engines):
        engines = installed(remote) if engines else canned()
        if remote is not None:
            names = {**engines.names, "brain": f"{remote.model} at {remote.base_url}"}
            engines = replace(engines, respond=remote, names=names)
    certificate = ""
    context: ssl.SSLContext | None = None
    if tls_cert is not None:
        context = certificates.from_files(Path(tls_cert), None if tls_key is None else Path(tls_key))
    elif tls:
        context, certificate = certificates.self_signed(address)
    config = ServerConfig(
        host=address,
        port=port,
        key=held and held(),
        beta=beta,
        options=Options(pace=pace, session_seconds=session_seconds),
        faults=read_faults(draw(faults, seed)),
        seed=seed,
        record=None if record is None else Path(record),
        models=tuple(models),
        tls=context,
        sessions=sessions,
        origin_check=OriginCheck(hosts, pages, tls=context is not None),
        script=() if script is None else read_script(script),
    )
    return Practice(config, engines, certificate=certificate)
