"""Keys that may show nowhere, and everything in which one could: tracebacks, variables, files, logs."""

import base64
import contextlib
import http.server
import logging
import pickle
import sys
import threading
import traceback
import types
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from IPython.core import ultratb

from rtnb.protocol.conversation import Conversation
from rtnb.protocol.log import Log
from rtnb.protocol.updates import Other
from rtnb.transport import io_thread

AZURE = "7f3c9e1b5d2a4860c1e8f7b3a9d5624e"  # made up, like all keys here
# One for every place a key comes from, of every form a key has.
CANARIES = {
    "argument": "Qv8+Lx3/Zr5TnB1+Kw9/Hd2mYc7PjFs4Ug6eRa0=",
    "environment": "sk-proj-" + "Hn4Vq8Lw2_Tz7-Xk5Jd9Rm3Bp6Gc1Fy0Sa",
    "dotenv": "sk-" + "Cq7Ew3Ru9Ty1Ui5Op2As8Df4Gh6Jk0LzXb",
    "colab": "ek_" + "68a2d9f0c4b7e1357a9b3c5d7e9f1b2d",
    "azure": AZURE,
}
PUBLIC = "sk-proj-"
TESTS = {__file__}  # files whose frames have to know the canaries


@pytest.fixture
def source(request, monkeypatch, tmp_path):
    """What `connect` is given so that it uses the canary of one place."""
    canary = CANARIES[request.param]
    monkeypatch.chdir(tmp_path)
    if request.param == "argument":
        return {"provider": "openai", "key": canary}
    if request.param == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", canary)
    if request.param == "dotenv":
        (tmp_path / ".env").write_text(f"OPENAI_API_KEY={canary}\n", encoding="utf-8")
    if request.param == "colab":
        userdata = types.SimpleNamespace(get={"OPENAI_API_KEY": canary}.__getitem__)
        monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=None))
        monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(userdata=userdata))
    if request.param == "azure":
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", canary)
        return {"provider": "azure"}
    return {"provider": "openai"}


def pieces(canary):
    """Every eight characters of it, as they are, in an address and in base64."""
    shifted = [base64.b64encode(b"." * shift + canary.encode()).decode()[4:-4] for shift in range(3)]
    return {
        form[at : at + 8]
        for form in [canary, quote(canary, safe=""), *shifted]
        for at in range(len(form) - 7)
        if form[at : at + 8] not in PUBLIC
    }


def leaks(shown):
    return [
        (piece, place)
        for place, text in shown.items()
        for c in CANARIES.values()
        for piece in pieces(c)
        if piece in text
    ]


def ours(error):
    """The error without the frames of the test."""
    traces, trace = [], error.__traceback__
    while trace is not None:
        traces, trace = [*traces, trace], trace.tb_next
    first = None
    for trace in reversed([one for one in traces if one.tb_frame.f_code.co_filename not in TESTS]):
        trace.tb_next, first = first, trace
    return error.with_traceback(first)


def all_of(thing, depth=9, seen=None):
    """The text of everything that can be reached by attributes from an object of rtnb's or websockets'."""
    seen = {} if seen is None else seen
    if id(thing) in seen or depth == 0 or isinstance(thing, Log | Conversation | Other):  # what the server said
        return
    seen[id(thing)] = thing
    if isinstance(thing, str | bytes | bytearray | memoryview):
        yield str(thing) if isinstance(thing, str) else bytes(thing).decode("latin-1")
    elif isinstance(thing, dict):
        for part in [*thing, *thing.values()]:
            yield from all_of(part, depth - 1, seen)
    elif isinstance(thing, list | tuple | set | frozenset) or type(thing).__name__ == "deque":
        for part in list(thing):
            yield from all_of(part, depth - 1, seen)
    elif type(thing).__module__.split(".")[0] in ("rtnb", "websockets") or isinstance(thing, BaseException):
        yield repr(thing)
        yield from all_of(getattr(thing, "__dict__", {}), depth - 1, seen)
        for kind in type(thing).__mro__:
            for name in getattr(kind, "__slots__", ()):
                with contextlib.suppress(AttributeError):
                    yield from all_of(getattr(thing, name), depth - 1, seen)


def shown_of(error, *things):
    """Everything that a notebook, pytest, a debugger or a log shows of an error and of what it came from."""
    shown = {}
    chain, error = [], error and ours(error)
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
        error = None if error is None else ours(error)
    for place, one in enumerate(chain):
        shown[f"{place} verbose"] = ultratb.VerboseTB(include_vars=True).text(type(one), one, one.__traceback__)
        shown[f"{place} locals"] = "".join(
            traceback.TracebackException.from_exception(one, capture_locals=True).format()
        )
        shown[f"{place} frames"] = "\n".join(
            text
            for frame, _ in traceback.walk_tb(one.__traceback__)
            for value in frame.f_locals.values()
            for text in all_of(value)
        )
        shown[f"{place} itself"] = str(one) + repr(one) + "\n".join(all_of(one))
    for thing in things:
        shown[f"{type(thing).__name__} all"] = "\n".join(all_of(thing))
        shown[f"{type(thing).__name__} vars"] = repr(vars(thing)) + repr(thing)
        try:
            shown[f"{type(thing).__name__} pickle"] = pickle.dumps(thing).decode("latin-1")
        except Exception as refused:
            shown[f"{type(thing).__name__} pickle"] = repr(refused)
    return shown


@pytest.fixture
def logged():
    """What all loggers tell at DEBUG, asyncio's debug mode included."""
    told = []

    class Keep(logging.Handler):
        def emit(self, record):
            if record.name != "websockets.server":  # the test's own, the other end
                told.append(f"{record.name} {record.getMessage()} {vars(record)}")

    root, keep, loop = logging.getLogger(), Keep(level=logging.DEBUG), io_thread.io_loop()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    loop.call_soon_threadsafe(loop.set_debug, True)
    try:
        yield told
    finally:
        loop.call_soon_threadsafe(loop.set_debug, False)
        root.setLevel(level)
        root.removeHandler(keep)


class Door(http.server.BaseHTTPRequestHandler):
    """Answers every handshake with what its server has to say."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(dict(self.headers))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def door(status=200, body=b"", **headers):
    """A server that opens no WebSocket; `asked` holds the headers of every request, `address` is `HOST:PORT`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.answer = status, headers, body
        server.asked = []
        server.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
