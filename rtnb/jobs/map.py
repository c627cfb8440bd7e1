"""`rtnb.map`: the same question to many recordings, a few at a time, under one budget, and never paid for twice.

Each answer is appended to a file of JSON Lines the moment it is there, under a name made of the recording's content,
the question, the model and who answers. A run that was stopped, by a crash, a budget or a full disk, is taken up where
it ended by running the same line again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from rtnb import html, keys, models
from rtnb import money as costs
from rtnb.audio import Clip, open_stream
from rtnb.errors import AudioError, BudgetExceeded, ConnectionFailed, InputError, KeyMissing, KeyRefused, RtnbError
from rtnb.opening import find_server
from rtnb.session.parts import SOUND_ENDINGS, Recording, read_parts
from rtnb.session.session import Session, connect
from rtnb.transport.handle import Handle

__all__ = ["Results", "Row", "map"]

# What no further recording would change: the run ends there, and nothing is written down as the recording's fault.
_FATAL = (KeyRefused, KeyMissing, BudgetExceeded)
_DEAD_AFTER = 3  # connections in a row that fail before anything succeeded: the network is gone, not the recording
_ANSWER_SECONDS = 20.0  # what an answer is reckoned to last, for the budget's reserve


@dataclass(frozen=True)
class Row:
    """The answer to one recording, as it stands in the file.

    Attributes:
        key: What makes it the same question: a digest of content, question, model and who answers.
        name: The recording's name.
        status: `"completed"`, `"incomplete"`, `"cancelled"` or `"failed"`.
        text: The answer's words.
        seconds: How long the recording is. None where it could not be read.
        usd: What it cost, in US dollars. None where no price is known.
        tokens: Tokens read and produced.
        model: The model.
        source: Who answered.
        prompt: The question.
        sound: Where the answer's sound was saved. None for a written answer.
        error: What went wrong. None for nothing.
    """

    key: str
    name: str
    status: str
    text: str = ""
    seconds: float | None = None
    usd: float | None = 0.0
    tokens: int = 0
    model: str = ""
    source: str = ""
    prompt: str = ""
    sound: str | None = None
    error: str | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing to gain by asking again."""
        return self.status in ("completed", "incomplete")


@dataclass
class _Job:
    source: Any
    name: str
    key: str = ""
    seconds: float | None = None
    problem: RtnbError | None = None


class Results(Handle["Results"]):
    """Answers to many recordings, as they come; it has started already.

    `await` it or `.wait()` for all of them, or look at it in between.

    Attributes:
        path: The file of JSON Lines. None where none is written.
        skipped: How many answers were in the file already.
    """

    def __init__(
        self,
        jobs: list[_Job],
        prompt: str,
        path: Path | None,
        how: dict[str, Any],
        *,
        model: str,
        source: str,
        concurrency: int,
        budget: costs.Budget | None,
        show: bool,
    ) -> None:
        super().__init__()
        self.path = path
        self.skipped = 0
        self._jobs = jobs
        self._prompt = prompt
        self._how = how
        self._model = model
        self._source = source
        self._concurrency = concurrency
        self._budget = budget
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._running: set[Session] = set()
        self._cancelled = False
        self._reserved: list[_Job] = []  # the recordings under way
        self._dearer = 1.0  # how much more an answer cost than was reckoned
        self._dead = 0
        self._bar = _progress_bar(len(jobs), show)
        from rtnb.transport import io_thread

        self._future_of_run = io_thread.submit(self._run())

    # --- what there is

    @property
    def rows(self) -> list[Row]:
        """The answers so far, in the order of the recordings."""
        with self._lock:
            return [self._rows[job.key] for job in self._jobs if job.key in self._rows]

    @property
    def failed(self) -> list[Row]:
        """Those that went wrong; they are asked again on the next run."""
        return [row for row in self.rows if not row.over]

    @property
    def usd(self) -> float:
        """What all of it has cost, in US dollars, earlier runs included."""
        return sum({row.key: row.usd or 0.0 for row in self.rows}.values())

    def table(self) -> Any:
        """The answers as a pandas `DataFrame`, a row for each recording.

        Raises:
            InputError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("Your Python has no pandas. Install it (pip install pandas), or use .rows.") from error
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])

    def cancel(self) -> None:
        """Stop; what was answered stays, and running the same line again goes on from here."""
        self._cancelled = True
        for session in list(self._running):
            session.close()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __repr__(self) -> str:
        rows = self.rows
        state = "" if self.done else ", still going"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        where = f", {self.path}" if self.path else ""
        count = f"{len(rows)} of {len(self._jobs)}{failed}"
        return f"Results({count}, {costs.money(self.usd)}, {self._source}{where}{state})"

    def _repr_html_(self) -> str:
        rows = [[row.name, row.text or row.error or "", row.status, costs.money(row.usd)] for row in self.rows]
        return html.table(["recording", "answer", "status", "US dollars"], rows, caption=repr(self))

    # --- on the I/O thread

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            await self._identify()
            await self._ask_all()
        except BaseException as raised:
            error = raised
        finally:
            self._bar.close()
        if isinstance(error, Exception):
            self._fail(error)
        elif self._cancelled:
            self._fail(InputError("You cancelled this. What was answered is kept; run the same line again to go on."))
        else:
            self._finish(self)

    async def _identify(self) -> None:
        """Tell for each recording which question it is, and which of them the file has answered."""
        loop = asyncio.get_running_loop()
        known = await loop.run_in_executor(None, _read_rows, self.path) if self.path else {}
        for job in self._jobs:
            asked = (self._prompt, self._model, self._source, {k: v for k, v in self._how.items() if k in _MATTERS})
            await loop.run_in_executor(None, _identify, job, asked)
            row = known.get(job.key)
            if row is not None and row.over and job.key not in self._rows:
                self._rows[job.key] = row
                self.skipped += 1

    async def _ask_all(self) -> None:
        waiting = [job for job in self._jobs if job.key not in self._rows]
        # The same recording twice is one question.
        waiting = list({job.key: job for job in waiting}.values())
        self._bar.update(len(self._jobs) - len(waiting))
        under_way: set[asyncio.Task[None]] = set()
        try:
            for job in waiting:
                while len(under_way) >= self._concurrency or (under_way and not self._fits(job)):
                    under_way = await self._some(under_way)
                if self._cancelled:
                    break
                if self._budget is not None:
                    self._budget.check_before(self._reckoned(job) if job.problem is None else 0.0)
                self._reserved.append(job)
                under_way.add(asyncio.ensure_future(self._one(job)))
            while under_way:
                under_way = await self._some(under_way)
        except BaseException:
            # Those under way have been paid for: they are waited for and written down.
            await asyncio.gather(*under_way, return_exceptions=True)
            raise

    async def _some(self, under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait for one of them to end; gives the others."""
        done, rest = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        failures = [failure for task in done if (failure := task.exception()) is not None]
        if failures:
            await asyncio.gather(*rest, return_exceptions=True)
            raise failures[0]
        return rest

    def _reckoned(self, job: _Job) -> float:
        """What a recording is likely to cost at most, as far as those before it told."""
        seconds = 60.0 if job.seconds is None else job.seconds
        spoken = self._how.get("modalities") == "audio"
        words = len(self._prompt) // 3 + 20
        return (
            costs.estimate(
                seconds_in=seconds,
                seconds_out=_ANSWER_SECONDS,
                model=self._model,
                text_in_tokens=words,
                text_only=not spoken,
            ).usd
            or 0.0
        ) * self._dearer

    def _fits(self, job: _Job) -> bool:
        """Whether the budget covers this recording beside those under way."""
        return self._budget is None or (sum(self._reckoned(one) for one in (*self._reserved, job)) <= self._budget.left)

    async def _one(self, job: _Job) -> None:
        try:
            row = await self._answer(job)
        finally:
            self._reserved.remove(job)
        if row is None:
            return
        if row.usd and (reckoned := self._reckoned(job)):
            self._dearer *= max(1.0, row.usd / reckoned)
        with self._lock:
            self._rows[job.key] = row
        if self.path is not None:
            await asyncio.get_running_loop().run_in_executor(None, _append, self.path, row)
        self._bar.update(sum(other.key == job.key for other in self._jobs))

    async def _answer(self, job: _Job) -> Row | None:
        about: dict[str, Any] = {"key": job.key, "name": job.name, "seconds": job.seconds, "model": self._model}
        about |= {"source": self._source, "prompt": self._prompt}
        if job.problem is not None:
            return Row(status="failed", error=str(job.problem), **about)
        session = connect(model=self._model, budget=self._budget, **self._how)
        self._running.add(session)
        try:
            reply = session.ask(job.source, self._prompt)
            error: RtnbError | None = None
            try:
                await reply
            except _FATAL as fatal:
                if not reply.usage:
                    raise
                error = fatal
            except ConnectionFailed as broken:
                if self._cancelled:
                    return None
                self._dead += 1
                if self._dead >= _DEAD_AFTER and not any(row.over for row in self._rows.values()):
                    raise
                error = broken
            except RtnbError as failed:
                error = failed
            else:
                self._dead = 0
            sound = None
            if reply.audio is not None and self.path is not None:
                folder = self.path.with_name(self.path.stem + "_sounds")
                target = folder / f"{Path(job.name).stem}-{job.key[:8]}.ogg"
                sound = str(await asyncio.to_thread(reply.audio.save, target))
            row = Row(
                # A budget that ended after the answer was there does not undo the answer.
                status=reply.status if error is None or isinstance(error, BudgetExceeded) else "failed",
                text=reply.text,
                usd=reply.cost.usd,
                tokens=reply.usage.total_tokens,
                sound=sound,
                error=str(error) if error is not None else None,
                **about,
            )
            return row
        finally:
            self._running.discard(session)
            session.close()


_MATTERS = ("instructions", "modalities", "voice", "session", "speed")


def _identify(job: _Job, asked: Any) -> None:
    """Fill in what a recording is: its digest by content, and its length."""
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode())
    try:
        if isinstance(job.source, Clip):
            digest.update(f"pcm {job.source.rate_hz} ".encode() + job.source.pcm)
            job.seconds = job.source.seconds
        else:
            if isinstance(job.source, bytes | bytearray | memoryview):
                digest.update(job.source)
            else:
                with open(job.source, "rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            with open_stream(job.source) as stream:
                job.seconds = None if stream.seconds is None else round(stream.seconds, 3)
    except AudioError as problem:
        job.problem = problem
        digest.update(job.name.encode())
    except OSError as problem:
        told = f"The file {job.name} cannot be read: {problem.strerror}. Check the path."
        job.problem = AudioError(told, name=job.name, problem=str(problem.strerror))
        digest.update(job.name.encode())
    job.key = digest.hexdigest()[:32]


def _read_rows(path: Path) -> dict[str, Row]:
    """Read the file as far as it goes; a last line that a crash tore is left out."""
    names = {field.name for field in fields(Row)}
    rows: dict[str, Row] = {}
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return rows
    for line in lines:
        try:
            data = json.loads(line)
            row = Row(**{name: value for name, value in data.items() if name in names})
        except (ValueError, TypeError, AttributeError):
            continue
        rows[row.key] = row
    return rows


_writing = threading.Lock()


def _append(path: Path, row: Row) -> None:
    """Write a line and see to it that it is on the disk: it has been paid for."""
    with _writing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            torn = False
            if file.tell():
                with path.open("rb") as before:
                    before.seek(-1, os.SEEK_END)
                    torn = before.read(1) != b"\n"
            line = json.dumps(asdict(row), ensure_ascii=False) + "\n"
            file.write((b"\n" if torn else b"") + line.encode())
            file.flush()
            os.fsync(file.fileno())


def _progress_bar(total: int, show: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, unit="recording", disable=not show)


def _jobs(clips: Any) -> list[_Job]:
    """What was given, as recordings: a folder stands for the sound files in it."""
    given: list[Any] = []
    several = isinstance(clips, Iterable) and not isinstance(clips, str | bytes | Clip | os.PathLike)
    for part in clips if several and not hasattr(clips, "clips") else [clips]:
        if isinstance(part, str | os.PathLike) and Path(part).expanduser().is_dir():
            folder = Path(part).expanduser()
            found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUND_ENDINGS)
            if not found:
                raise InputError(f"Your folder {folder} holds no recordings. Give one with sound files in it.")
            given += found
        else:
            given.append(part)
    jobs = []
    for step in read_parts(given):
        if not isinstance(step, Recording):
            raise InputError("Your recordings hold something that is no recording. Give clips, paths or a folder.")
        source = step.source
        name = source.name if isinstance(source, Clip) else step.label
        jobs.append(_Job(source, name))
    return jobs


def map(
    clips: Any,
    prompt: str,
    *,
    model: str | None = None,
    modalities: Literal["audio", "text"] = "text",
    concurrency: int = 4,
    budget: float | costs.Budget | None = None,
    out: str | Path | None = "results.jsonl",
    show: bool = True,
    **connection: Any,
) -> Results:
    """Ask the same question of many recordings.

    ```python
    results = await rtnb.map("interviews/", "Summarize in one sentence.", budget=0.50)
    results.table()
    ```

    Args:
        clips: Recordings: clips, paths, bytes of files, an upload box, or a folder with sound files in it.
        prompt: The question.
        model: The model's name. None: `gpt-realtime-2.1-mini`.
        modalities: `"text"`, or `"audio"` for spoken answers, saved beside the file.
        concurrency: How many at a time, 1–32.
        budget: US dollars that all of it may cost, or a budget shared with others. Nothing is begun that what is left
            does not cover. None: no limit.
        out: The file of JSON Lines that answers are appended to; what it holds is not asked again. None: none is kept.
        show: Whether to show a progress bar.
        **connection: What `rtnb.connect` takes: instructions, voice, key, url, practice, replay, ….

    Returns:
        `Results` that have started: `await` them or `.wait()`; `.table()` gives them to pandas.

    Raises:
        InputError: If there is nothing to ask, or an argument is not what it takes.
        KeyMissing: If a key is needed and none is found.
    """
    connection["key"] = keys.hold(connection.get("key"))
    if not prompt or not prompt.strip():
        raise InputError("Your question is blank. Say what to do with the recordings.")
    if not 1 <= concurrency <= 32:
        raise InputError(f"Your concurrency={concurrency} is out of range. Give a number from 1 to 32.")
    jobs = _jobs(clips)
    name = model or models.DEFAULT
    ends = ("key", "url", "provider", "practice", "replay", "replay_speed")
    where = find_server(name, **{end: connection[end] for end in ends if end in connection})
    if where.source == "practice":
        connection["practice"] = True  # decided, and said, once
    path = None if out is None else Path(out).expanduser()
    how = {**connection, "modalities": modalities}
    return Results(
        jobs,
        prompt,
        path,
        how,
        model=name,
        source=where.source,
        concurrency=concurrency,
        budget=costs.Budget.of(budget),
        show=show,
    )
