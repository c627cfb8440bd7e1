"""Command line of the practice server: `rtnb practice`."""

import argparse
import gc
import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from rtnb.errors import InputError
from rtnb.server.faults import FAULTS
from rtnb.server.server import start
from rtnb.texts.language import say

# Options of `rtnb practice` that are parameters of `start`.
_SAME_NAMES = "port beta seed pace session_seconds engines llm brain brain_model record tls tls_cert tls_key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rtnb practice` to a parser."""
    faults = "\n".join(f"  {name:17} {say(what)}" for name, what in FAULTS.items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = say("faults, separated by commas (also by URL: ?fault=…&seed=…):\n{faults}", faults=faults)
    add = parser.add_argument
    add("--host", action="append", help=say("address to listen on (default: 127.0.0.1); again: its names"))
    add("--port", type=int, default=8765, help=say("port, 0 for a free one (default: %(default)s)"))
    add("--key", help=say("key that clients must bring; the variable RTNB_PRACTICE_KEY does the same"))
    pages = "let pages of this origin in, e.g. http://localhost:3000; programs may always come"
    add("--allow-origin", action="append", default=[], metavar="ORIGIN", help=say(pages))
    add("--beta", action="store_true", help=say("also speak the Beta interface of 2024"))
    add("--fault", action="append", default=[], metavar="FAULT", help=say("what goes wrong; see below"))
    add("--seed", type=int, help=say("make ids and faults repeat"))
    add("--pace", type=float, default=12.0, help=say("times faster than sound plays (default: %(default)s)"))
    add("--session-seconds", type=float, default=3600.0, help=say("a session's length (default: %(default)s)"))
    canned = "neither hear nor speak: canned words and a hum"
    add("--no-engines", dest="engines", action="store_false", help=say(canned))
    add("--llm", metavar="auto|URL", help=say("auto: think with what this computer serves; a URL: as --brain"))
    add("--brain", metavar="URL", help=say("think with this OpenAI-compatible chat server"))
    add("--brain-model", metavar="NAME", help=say("the model to ask it for"))
    add("--brain-key", metavar="KEY", help=say("its key; the variable RTNB_BRAIN_KEY does the same"))
    add("--record", metavar="DIR", help=say("write every session down there, one JSON line an event"))
    add("--model", action="append", default=[], metavar="NAME", help=say("serve this model name too"))
    add("--tls", action="store_true", help=say("wss:// with a certificate made on the spot"))
    add("--tls-cert", metavar="FILE", help=say("wss:// with this PEM certificate"))
    add("--tls-key", metavar="FILE", help=say("its PEM key"))


def settle() -> None:
    """Keep whatever is here now out of the garbage collector's passes.

    Looking through all of it stops everything for some 50 ms, again and again. Only for a process that does nothing
    but serve: what becomes rubbish of a program's own would stay too.
    """
    gc.collect()
    gc.freeze()


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
            key=args.key or os.environ.get("RTNB_PRACTICE_KEY"),
            allow_origins=args.allow_origin,
            faults=",".join(args.fault),
            brain_key=args.brain_key or os.environ.get("RTNB_BRAIN_KEY"),
            models=tuple(args.model),
            **{name: getattr(args, name) for name in _SAME_NAMES.split()},
        )
    except InputError as error:
        print(error)
        return 2
    server.warm.add_done_callback(lambda _: settle())
    over = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        # The folder of the certificate, which clients must find for as long as it is good.
        with server, tempfile.TemporaryDirectory(prefix="rtnb-practice-") as folder:
            certificate = Path(folder) / "certificate.pem"
            certificate.write_text(server.certificate, encoding="ascii")
            print(say("Practice server: {url}  ({engines})", url=server.url, engines=server.told))
            print(say("Try it:"))
            key = "YOUR_KEY" if server.asks_for_key else "practice"
            trust = {"SSL_CERT_FILE": str(certificate)} if server.certificate else {}
            ask = f"rtnb.ask('Count to five.', url='{server.url}', key='{key}')"
            print("  " + _with(trust, f'python -c "import rtnb; print({ask}.wait())"'))
            for_openai = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": key}
            print("  " + _with(trust | for_openai, "python your_program.py"))
            if trust:
                trusted = "Clients must trust the certificate in {path}; Node by NODE_EXTRA_CA_CERTS."
                print(say(trusted, path=certificate))
            print(say("Ctrl+C ends it."), flush=True)
            while not over.wait(0.5):
                pass
    except KeyboardInterrupt:
        print()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _with(variables: Mapping[str, str], command: str) -> str:
    """Write a line for this system's shell that runs a command with these variables."""
    if os.name == "nt":  # PowerShell
        return "".join(f"$env:{name}='{value}'; " for name, value in variables.items()) + command
    return "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items()) + command
