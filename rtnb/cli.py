"""`rtnb demo | practice | doctor | prices | notebooks …`: the same things, from a terminal."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtnb import __version__
from rtnb.errors import InputError, RtnbError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after `rtnb`. None: those of this process.

    Returns:
        0 if all went well, 1 if something failed that was told, 2 if the words were off, 130 if interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except RtnbError as error:
        print(f"rtnb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrtnb: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtnb", description="Talk to the OpenAI Realtime API; with no key, to a practice server on this computer."
    )
    parser.add_argument("--version", action="version", version=f"rtnb {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="ask about a recording and save the spoken answer")
    demo.add_argument(
        "recording", nargs="?", help="a sound file of any kind (left out: a recording that ships with rtnb)"
    )
    demo.add_argument(
        "prompt", nargs="?", default="Summarize this audio content", help="what to ask (default: %(default)s)"
    )
    out = "where the answer goes; its ending tells the format (default: output_audio.wav here, never in a checkout)"
    demo.add_argument("--out", metavar="FILE", help=out)
    demo.add_argument("--model", help="the model's name")
    demo.add_argument("--voice", help="the voice that answers")
    demo.add_argument("--url", help="another server that speaks the protocol")
    demo.add_argument("--practice", action="store_true", help="use the practice server, whatever keys there are")
    demo.add_argument("--verbose", action="store_true", help="print every event")
    demo.set_defaults(run=_demo)

    practice = commands.add_parser("practice", help="run the practice server")
    _describe_practice(practice)

    doctor = commands.add_parser("doctor", help="check this computer, the key, the network and the model")
    doctor.add_argument("--model", help="the model whose access is checked")
    doctor.add_argument("--url", help="another server that speaks the protocol")
    doctor.add_argument("--learners", type=int, default=1, metavar="N", help="how many will pay (default: %(default)s)")
    doctor.set_defaults(run=_doctor)

    prices = commands.add_parser("prices", help="show models, prices and shutdown dates")
    prices.set_defaults(run=_prices)

    notebooks = commands.add_parser("notebooks", help="copy the tutorial notebooks out of the package")
    notebooks.add_argument("folder", type=Path, help="where to; made if need be")
    notebooks.add_argument("--force", action="store_true", help="overwrite notebooks that are there already")
    notebooks.set_defaults(run=_notebooks)
    return parser


def _describe_practice(parser: argparse.ArgumentParser) -> None:
    from rtnb.server import server

    server.add_arguments(parser)
    parser.set_defaults(run=server.main)


def _doctor(args: argparse.Namespace) -> int:
    from rtnb.diagnosis.doctor import doctor

    report = doctor(model=args.model, url=args.url, learners=args.learners)
    print(report)
    return 0 if report.ok else 1


def _demo(args: argparse.Namespace) -> int:
    from rtnb.asking import ask
    from rtnb.audio import open_stream, samples

    source: Any = args.recording
    if source is None:
        source = samples()["talk"]
        print(f"Recording: {source!r} (ships with rtnb)")
    else:
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(f"Your recording {source} does not exist. Check the path.", path=source)
        source = path
        length = open_stream(path).seconds
        print(f"Recording: {path.name}" + (f", about {length:.1f} s" if length else ""))
    print(f"Prompt:    {args.prompt}")
    chosen = {name: getattr(args, name) for name in ("model", "voice", "url") if getattr(args, name)}
    reply = ask(source, args.prompt, practice=args.practice, verbose=args.verbose, **chosen)
    reply.wait()
    sent = sum(entry.sound_bytes for entry in reply.session.log if entry.type == "input_audio_buffer.append")
    appends = sum(entry.type == "input_audio_buffer.append" for entry in reply.session.log)
    first = reply.seconds_to_first_sound
    print(f"\nAnswer:    {reply.text}")
    print(f"Sent:      {sent / 48_000:.1f} s of sound in {appends} chunks; {len(reply.events)} events came back")
    if reply.audio is not None:
        print(f"Saved:     {reply.save(args.out or _answer_path())} ({reply.audio.seconds:.1f} s)")
    print(f"Tokens:    {reply.usage}")
    billed = (
        "" if reply.source == "openai" else f" (what it would cost at OpenAI with {reply.model}; nothing was billed)"
    )
    print(f"Cost:      {reply.cost}{billed}")
    print(f"First sound after {first * 1000:.0f} ms" if first is not None else "No sound came")
    print(
        f"Answered by {reply.source}"
        + (": rules on this computer, no language model" if reply.source == "practice" else "")
    )
    for warning in reply.warnings:
        print(f"Note:      {warning}")
    return 0 if reply.status == "completed" else 1


def _answer_path() -> Path:
    """`output_audio.wav` in the current folder; in a checkout of rtnb, which stays as it is, in a temporary one."""
    here = Path.cwd()
    ours = ("pyproject.toml", "rtnb/cli.py")
    inside = any(all((at / name).is_file() for name in ours) for at in (here, *here.parents))
    return Path(tempfile.mkdtemp(prefix="rtnb-") if inside else "") / "output_audio.wav"


def _prices(args: argparse.Namespace) -> int:
    from rtnb.money import prices

    print(prices())
    return 0


def _notebooks(args: argparse.Namespace) -> int:
    source = next((folder for folder in _notebook_folders() if any(folder.glob("*.ipynb"))), None)
    if source is None:
        raise RtnbError("rtnb was installed without its notebooks. Install it again from its wheel or its repository.")
    copied = kept = 0
    for file in sorted(source.rglob("*")):
        # In a checkout there is also what they are made from; a learner wants what can be run.
        parts = file.relative_to(source).parts
        apart = any(part.startswith((".", "__")) or part in ("source", "images") for part in parts)
        if apart or not file.is_file():
            continue
        target = args.folder / file.relative_to(source)
        if target.exists() and not args.force:
            kept += 1
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        copied += 1
    print(
        f"{copied} files copied to {args.folder}" + (f", {kept} kept as they were (--force overwrites)" if kept else "")
    )
    with contextlib.suppress(StopIteration):
        first = next(iter(sorted(args.folder.glob("*.ipynb"))))
        print(f"Open the first one:  jupyter lab {first}")
    return 0


def _notebook_folders() -> list[Path]:
    """Where the notebooks may be: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    return [package / "notebooks", package.parent / "notebooks"]


if __name__ == "__main__":
    sys.exit(main())
