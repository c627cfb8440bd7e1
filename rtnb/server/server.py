"""The practice server to start and to stop: `start()` in a program, `rtnb practice` on the command line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shlex
import signal
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from rtnb import html
from rtnb.errors import InputError, keep_secret
from rtnb.server.engines.engines import Engines, canned, installed
from rtnb.server.faults import FAULTS, read_faults
from rtnb.server.protocol.session import Options
from rtnb.server.responder.remote import Remote
from rtnb.server.sockets import Server, ServerConfig
from rtnb.web import tls as certificates
from rtnb.web.origins import OriginCheck, is_loopback

__all__ = ["Practice", "add_arguments", "main", "settle", "start"]


class Practice:
    """A running practice server, on a thread and a loop of its own. Close it, or use it in a `with` or `async with`.

    Attributes:
        certificate: The PEM certificate that clients must trust, where one was made on the spot; "" otherwise.
        warm: Done when the engines are loaded, which the first answer would otherwise wait for.
    """

    def __init__(self, house: ServerConfig, engines: Engines, *, certificate: str = "") -> None:
        self.certificate = certificate
        self._house = house
        self._engines = engines
        self._pool = _threads(4 + (os.cpu_count() or 1))
        self._serving = Server(house, engines, self._pool)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._port = house.port  # until it listens
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rtnb-practice", daemon=True)
        self._thread.start()
        try:
            self._port = ready.result()
        except OSError as error:
            self._pool.shutdown()
            raise InputError(
                f"The address {house.host}:{house.port} cannot be listened on: {error.strerror or error}. "
                "Choose another port, or 0 for a free one.",
                host=house.host,
                port=house.port,
            ) from error
        self.warm = self._pool.submit(engines.warm_up)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def url(self) -> str:
        """`ws://HOST:PORT/v1/realtime` (or `wss://`), for WebSocket clients."""
        return f"{'wss' if self._house.tls else 'ws'}://{self._address}/v1/realtime"

    @property
    def base_url(self) -> str:
        """`http://HOST:PORT/v1` (or `https://`), for OpenAI's own clients."""
        return f"{'https' if self._house.tls else 'http'}://{self._address}/v1"

    @property
    def _address(self) -> str:
        host = self._house.host
        # Listening everywhere is no address to go to: on this computer it is the loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def asks_for_key(self) -> bool:
        """Whether clients need the server's own key; else any will do."""
        return self._house.key is not None

    @property
    def engines(self) -> dict[str, str]:
        """What hears, what speaks and which real mind thinks, by name; "" where there is none."""
        return dict(self._engines.names)

    @property
    def session_ids(self) -> list[str]:
        """The sessions that are open now."""
        return list(self._serving.lives)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End every session (its client sees 1001) and the server. Safe to call twice."""
        if self._thread.is_alive() and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Practice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Practice:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    @property
    def told(self) -> str:
        """What hears and speaks, in a line."""
        names = self.engines
        told = [f"ears: {names.get('ears') or 'none'}", f"voice: {names.get('voice') or 'none'}"]
        told += [f"brain: {names['brain']}"] if names.get("brain") else []
        return ", ".join([*told, *(["closed"] if self.closed else [])])

    def __repr__(self) -> str:
        return f"Practice({self.url}, {self.told})"

    def _repr_html_(self) -> str:
        names = self.engines
        facts = [("for WebSocket clients", self.url), ("for OpenAI's clients", self.base_url)]
        facts += [(what, names.get(what) or "none") for what in ("ears", "voice")]
        return html.card("Practice server" + (" (closed)" if self.closed else ""), facts)

    def _run(self, ready: Future[int]) -> None:
        try:
            with asyncio.Runner(loop_factory=_fast_loop()) as runner:
                runner.run(self._main(ready))
        except OSError as error:
            if not ready.done():
                ready.set_exception(error)

    async def _main(self, ready: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self._serving.run(ready.set_result, self._stop)


def _threads(count: int) -> ThreadPoolExecutor:
    """That many threads, running already: whoever makes the pool begin one waits for it, and all sessions with him."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="rtnb-practice-engine")
    all_here = threading.Barrier(count)
    for _ in range(count):
        pool.submit(all_here.wait)
    return pool


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop, which keeps up with hundreds of sessions where asyncio's begins to lag; None where it is not here.

    `tests/benchmarks/bench_practice_load.py` shows both (`--loop asyncio`).
    """
    try:
        import uvloop
    except ImportError:  # Windows among others
        return None
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def settle() -> None:
    """Tell the garbage collector that whatever is here now stays.

    Looking through all of it stops everything for some 50 ms, again and again. Only for a process that does nothing
    but serve: what becomes rubbish of a program's own would stay too.
    """
    gc.collect()
    gc.freeze()


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
    brain: str | None = None,
    brain_model: str | None = None,
    brain_key: str | None = None,
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
            `rtnb.server.faults.FAULTS` lists them.
        seed: Makes ids and faults repeat from run to run. None makes each run different.
        pace: Sound goes out this many times faster than it plays (the real server: about 12); 0 sends it all at once.
        session_seconds: How long a session may last.
        engines: True hears, thinks and speaks with what is installed; False with nothing (canned words and a hum);
            or engines of your own.
        brain: The base URL of any OpenAI-compatible chat server to think with, e.g. `http://localhost:11434/v1`.
        brain_model: The model to ask it for. Needed with `brain`.
        brain_key: Its key; None where it asks for none.
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
    """
    # As functions, which no traceback shows.
    held, brain_held = (keep_secret(one) if one and one.strip() else None for one in (key, brain_key))
    key = brain_key = None
    names = [host] if isinstance(host, str) else [*host]
    address = names[0]
    pages = [allow_origins] if isinstance(allow_origins, str) else allow_origins
    if not is_loopback(address) and not (held and held()):
        raise InputError(
            f"The address {address} can be reached from other computers, and no key protects the server. "
            "Give a key, or listen on 127.0.0.1.",
            host=address,
        )
    if not 0 <= pace <= 10_000:
        raise InputError(f"The pace {pace} makes no sense. Give a number from 0 (all at once) to 10000.")
    if session_seconds <= 0:
        raise InputError(f"A session cannot last {session_seconds} seconds. Give a number above 0.")
    if brain is not None and not brain_model:
        raise InputError("The chat server in `brain` needs to know which model to use. Give `brain_model` too.")
    mind = Remote(brain, brain_model, brain_held) if brain is not None and brain_model else None
    if not isinstance(engines, Engines):
        engines = installed(mind) if engines else canned()
        if mind is not None:
            engines = replace(engines, think=mind, names={**engines.names, "brain": f"{mind.model} at {mind.base_url}"})
    certificate = ""
    context: ssl.SSLContext | None = None
    if tls_cert is not None:
        context = certificates.given(Path(tls_cert), None if tls_key is None else Path(tls_key))
    elif tls:
        context, certificate = certificates.self_signed(address)
    house = ServerConfig(
        host=address,
        port=port,
        key=held and held(),
        beta=beta,
        options=Options(pace=pace, session_seconds=session_seconds),
        faults=read_faults(faults),
        seed=seed,
        record=None if record is None else Path(record),
        models=tuple(models),
        tls=context,
        sessions=sessions,
        origin_check=OriginCheck(names, pages, tls=context is not None),
    )
    return Practice(house, engines, certificate=certificate)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rtnb practice` to a parser."""
    faults = "\n".join(f"  {name:17} {what}" for name, what in FAULTS.items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"faults, separated by commas (also by URL: ?fault=…&seed=…):\n{faults}"
    parser.add_argument("--host", action="append", help="address to listen on (default: 127.0.0.1); again: its names")
    parser.add_argument("--port", type=int, default=8765, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--key", help="key that clients must bring; the variable RTNB_PRACTICE_KEY does the same")
    pages = "let pages of this origin in, e.g. http://localhost:3000; programs may always come"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=pages)
    parser.add_argument("--beta", action="store_true", help="also speak the Beta interface of 2024")
    parser.add_argument("--fault", action="append", default=[], metavar="FAULT", help="what goes wrong; see below")
    parser.add_argument("--seed", type=int, help="make ids and faults repeat")
    parser.add_argument("--pace", type=float, default=12.0, help="times faster than sound plays (default: %(default)s)")
    parser.add_argument(
        "--session-seconds", type=float, default=3600.0, help="a session's length (default: %(default)s)"
    )
    parser.add_argument("--no-engines", action="store_true", help="neither hear nor speak: canned words and a hum")
    parser.add_argument("--brain", metavar="URL", help="think with this OpenAI-compatible chat server")
    parser.add_argument("--brain-model", metavar="NAME", help="the model to ask it for")
    parser.add_argument("--brain-key", metavar="KEY", help="its key; the variable RTNB_BRAIN_KEY does the same")
    parser.add_argument("--record", metavar="DIR", help="write every session down there, one JSON line an event")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="serve this model name too")
    parser.add_argument("--tls", action="store_true", help="wss:// with a certificate made on the spot")
    parser.add_argument("--tls-cert", metavar="FILE", help="wss:// with this PEM certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="its PEM key")


def main(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C or SIGTERM.

    Args:
        args: What `add_arguments`' parser read.

    Returns:
        The exit status: 0 after a clean end, 2 where the options make no sense.
    """
    try:
        server = start(
            host=args.host or "127.0.0.1",
            port=args.port,
            key=args.key or os.environ.get("RTNB_PRACTICE_KEY"),
            allow_origins=args.allow_origin,
            beta=args.beta,
            faults=",".join(args.fault),
            seed=args.seed,
            pace=args.pace,
            session_seconds=args.session_seconds,
            engines=not args.no_engines,
            brain=args.brain,
            brain_model=args.brain_model,
            brain_key=args.brain_key or os.environ.get("RTNB_BRAIN_KEY"),
            record=args.record,
            models=tuple(args.model),
            tls=args.tls,
            tls_cert=args.tls_cert,
            tls_key=args.tls_key,
        )
    except InputError as error:
        print(error)
        return 2
    server.warm.add_done_callback(lambda _: settle())
    over = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        with server, _in_a_file(server.certificate) as certificate:
            print(f"Practice server: {server.url}  ({server.told})")
            print("Try it:")
            key = "YOUR_KEY" if server.asks_for_key else "practice"
            trust = {"SSL_CERT_FILE": certificate} if certificate else {}
            ask = f"rtnb.ask('Count to five.', url='{server.url}', key='{key}')"
            print("  " + _with(trust, f'python -c "import rtnb; print({ask}.wait())"'))
            for_openai = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": key}
            print("  " + _with(trust | for_openai, "python your_program.py"))
            if certificate:
                print(f"Clients must trust the certificate in {certificate}; Node by NODE_EXTRA_CA_CERTS.")
            print("Ctrl+C ends it.", flush=True)
            while not over.wait(0.5):
                pass
    except KeyboardInterrupt:
        print()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


@contextmanager
def _in_a_file(certificate: str) -> Iterator[str]:
    """The path of a file that holds the certificate for as long as it is good; "" for none."""
    if not certificate:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="rtnb-practice-") as directory:
        path = Path(directory) / "certificate.pem"
        path.write_text(certificate, encoding="ascii")
        yield str(path)


def _with(variables: Mapping[str, str], command: str) -> str:
    """A line for this system's shell that runs a command with these variables."""
    if os.name == "nt":  # PowerShell
        return "".join(f"$env:{name}='{value}'; " for name, value in variables.items()) + command
    return "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items()) + command
