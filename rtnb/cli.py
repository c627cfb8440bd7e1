"""Command line: `rtnb demo | practice | doctor | prices | notebooks …`."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rtnb
from rtnb.errors import InputError, RtnbError
from rtnb.texts.language import say


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after `rtnb`. None: those of this process.

    Returns:
        0 if all went well, 1 if something failed, 2 if the words cannot be read, 130 if interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a code page of Windows has no ✓
    words = sys.argv[1:] if argv is None else argv
    args = _parser(words).parse_args(words)
    try:
        return int(args.run(args) or 0)
    except RtnbError as error:
        print(f"rtnb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n" + say("rtnb: stopped."), file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    about = "Talk to the OpenAI Realtime API; with no key, to a practice server on this computer."
    parser = argparse.ArgumentParser(prog="rtnb", description=say(about))
    parser.add_argument("--version", action="version", version=f"rtnb {rtnb.__version__}")
    commands = parser.add_subparsers(title=say("commands"), metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=say(about), description=say(about))
        added.set_defaults(run=run)
        return added

    demo = command("demo", _demo, "ask about a recording and save the spoken answer").add_argument
    demo("recording", nargs="?", help=say("a sound file of any kind (left out: a recording that ships with rtnb)"))
    demo("prompt", nargs="?", default="Summarize this audio content", help=say("what to ask (default: %(default)s)"))
    out = "where the answer goes; its ending tells the format (default: output_audio.wav here, never in a checkout)"
    demo("--out", metavar="FILE", help=say(out))
    demo("--model", help=say("the model's name"))
    demo("--voice", help=say("the voice that answers"))
    demo("--url", help=say("another server that speaks the protocol"))
    demo("--practice", action="store_true", help=say("use the practice server, whatever keys there are"))
    demo("--verbose", action="store_true", help=say("print every event"))

    practice = command("practice", _practice, "run the practice server")
    if not words or "practice" in words:  # its options come with the server, which takes long to import
        from rtnb.server.command import add_arguments

        add_arguments(practice)

    doctor = command("doctor", _doctor, "check this computer, the key, the network and the model").add_argument
    doctor("--model", help=say("the model whose access is checked"))
    doctor("--url", help=say("another server that speaks the protocol"))
    doctor("--learners", type=int, default=1, metavar="N", help=say("how many will pay (default: %(default)s)"))

    command("prices", lambda _: print(rtnb.prices()), "show models, prices and shutdown dates")

    notebooks = command("notebooks", _notebooks, "copy the tutorial notebooks out of the package")
    notebooks.add_argument("folder", type=Path, help=say("where to; made if need be"))
    kept = say("keep what the cells put out, for reading")
    for_class = say("leave the solutions out; the answers go into one notebook for the teacher, beside the folder")
    either = notebooks.add_mutually_exclusive_group()
    either.add_argument("--with-outputs", action="store_true", help=kept)
    either.add_argument("--for-class", action="store_true", help=for_class)
    notebooks.add_argument("--force", action="store_true", help=say("overwrite notebooks that are there already"))
    return parser


def _doctor(args: argparse.Namespace) -> int:
    from rtnb.diagnosis.doctor import doctor

    print(report := doctor(model=args.model, url=args.url, learners=args.learners))
    return 0 if report.ok else 1


def _practice(args: argparse.Namespace) -> int:
    from rtnb.server.command import main as serve

    return serve(args)


def _demo(args: argparse.Namespace) -> int:
    from rtnb.asking import ask
    from rtnb.audio import pcm

    source = _find_recording(args.recording)
    print(say("Prompt:    {prompt}", prompt=args.prompt))
    chosen = {name: getattr(args, name) for name in ("model", "voice", "url") if getattr(args, name)}
    reply = ask(source, args.prompt, practice=args.practice, verbose=args.verbose, **chosen)
    reply.wait()
    appends = [entry.sound_bytes for entry in reply.session.log if entry.type == "input_audio_buffer.append"]
    kind = rtnb.models.provider_of(reply.session.url)
    print("\n" + say("Answer:    {text}", text=reply.text))
    sent = {"seconds": pcm.seconds(sum(appends)), "chunks": len(appends), "events": len(reply.events)}
    print(say("Sent:      {seconds:.1f} s of sound in {chunks} chunks; {events} events came back", **sent))
    if reply.audio is not None:
        saved = {"path": reply.save(args.out or _answer_path()), "seconds": reply.audio.seconds}
        print(say("Saved:     {path} ({seconds:.1f} s)", **saved))
    print(say("Tokens:    {usage}", usage=reply.usage))
    billed = " " + say("(what it would cost at OpenAI with {model}; nothing was billed)", model=reply.model)
    print(say("Cost:      {cost}{billed}", cost=reply.cost, billed="" if kind.listed else billed))
    first = reply.seconds_to_first_sound
    after = say("No sound came") if first is None else say("First sound after {ms:.0f} ms", ms=first * 1000)
    by_rules = say(": rules on this computer, no language model") if reply.source == "practice" else ""
    print(after, say("Answered by {source}{by_rules}", source=reply.source, by_rules=by_rules), sep="\n")
    for warning in reply.warnings:
        print(say("Note:      {warning}", warning=warning))
    return 0 if reply.status == "completed" else 1


def _find_recording(name: str | None) -> Any:
    """Return what is asked about, and print what it is."""
    from rtnb.audio import open_stream, samples

    if name is None:
        sample = samples()["talk"]
        print(say("Recording: {sample!r} (ships with rtnb)", sample=sample))
        return sample
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(f"Your recording {name} does not exist. Check the path.", path=name)
    length = open_stream(path).seconds
    lasts = say(", about {seconds:.1f} s", seconds=length) if length else ""
    print(say("Recording: {name}{lasts}", name=path.name, lasts=lasts))
    return path


def _answer_path() -> Path:
    """Return `output_audio.wav` in the current folder; inside a checkout of rtnb, in a temporary one."""
    import tempfile

    here = Path.cwd()
    ours = any((at / "pyproject.toml").is_file() and (at / "rtnb/cli.py").is_file() for at in (here, *here.parents))
    return Path(tempfile.mkdtemp(prefix="rtnb-") if ours else "") / "output_audio.wav"


def _notebooks(args: argparse.Namespace) -> None:
    from rtnb.course import copies, sources

    source = sources.folder()
    if not source.is_dir():
        raise RtnbError("rtnb was installed without its notebooks. Install it again from its wheel or its repository.")
    how = {"outputs": args.with_outputs, "force": args.force, "for_class": args.for_class}
    count, kept = copies.copy(source, args.folder, **how)
    rest = say(", {count} kept as they were (--force overwrites)", count=kept) if kept else ""
    print(say("{count} files copied to {folder}{rest}", count=count, folder=args.folder, rest=rest))
    if args.for_class:
        # Beside the folder and not in it, so that all of it can be handed out.
        answers = args.folder.resolve().with_name(f"{args.folder.resolve().name}-teacher") / "answers.ipynb"
        copies.write_answers(source, answers)
        print(say("Answers, for the teacher:  {path}", path=answers))
    for first in sorted(args.folder.glob("*.ipynb"))[:1]:
        print(say("Open the first one:  jupyter lab {path}", path=first))


if __name__ == "__main__":
    sys.exit(main())
