"""`rtnb.map`: the same question to many recordings, a few at a time, under one budget, and never paid for twice.

Each answer is appended to a file of JSON Lines the moment it is there, under a name made of the recording's content,
the question, the model and who answers. A run that was stopped, by a crash, by hand, by a budget or by a full disk, is
taken up where it ended by running the same cell again. One map at a time writes to a file.
"""

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from rtnb import html, models
from rtnb.audio import Clip, open_stream
from rtnb.audio.source import is_file, read_whole
from rtnb.errors import AudioError, BudgetExceeded, ConnectionFailed, InputError, KeyMissing, KeyRefused, RtnbError
from rtnb.jobs.rows import Row, RowsFile
from rtnb.money import Budget, amounts, limits, money
from rtnb.opening import ConnectionOptions, ServerOptions, configuration, connect, find_server, takes_options
from rtnb.session import parts, settings
from rtnb.session.reply import Reply
from rtnb.session.tools import in_thread
from rtnb.texts.language import say, translate
from rtnb.texts.shortening import printable
from rtnb.transport import io_thread
from rtnb.transport.handle import Interruptible, settle

# The options that make it another question.
_MATTERS = ("instructions", "modalities", "voice", "session", "speed")


@dataclass
class _Job:
    source: Any
    row: Row  # without an answer; its key and the seconds are found out later
    problem: AudioError | None = None

    def identify(self, how: dict[str, Any]) -> None:
        """Find out what the recording is: its digest by content, and its duration."""
        asked = (self.row.prompt, self.row.model, self.row.source, how)
        digest, seconds = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()), None
        try:
            if isinstance(self.source, Clip):
                digest.update(f"pcm {self.source.rate_hz} ".encode() + self.source.pcm)
                seconds = self.source.seconds
            else:
                held = isinstance(self.source, bytes | bytearray | memoryview)
                with io.BytesIO(self.source) if held else open(self.source, "rb") as file:
                    hashlib.file_digest(file, lambda: digest)
                with open_stream(self.source) as stream:
                    seconds = None if stream.seconds is None else round(stream.seconds, 3)
        except (AudioError, OSError) as problem:
            words = f"The file {self.row.name} cannot be read: {getattr(problem, 'strerror', None)}. Check the path."
            self.problem = problem if isinstance(problem, AudioError) else AudioError(words)
            digest.update(self.row.name.encode())
        self.row = replace(self.row, key=digest.hexdigest()[:32], seconds=seconds)


class Results(Interruptible["Results"]):
    """Answers to many recordings, as they come; it has started already.

    `await` it or `.wait()` for all of them, or look at it in between. An interrupted cell and a cancelled task cancel
    it. The error that ends it, and the interrupt, have it as `reply`.

    Attributes:
        path: The file of JSON Lines. None where none is written.
        skipped: Number of answers that were in the file already.
        stopped: Sentence on how the budget ended it. None where it did not.

    Examples:
        >>> clips = [rtnb.samples()["question"]]
        >>> results = rtnb.map(clips, "Repeat after me: yes", practice=True, out=None, show=False)
        >>> [row.text for row in results.wait()], results.failed, results.skipped
        (['yes.'], [], 0)
    """

    def __init__(
        self,
        jobs: Iterable[_Job],
        source: str,
        file: RowsFile | None,
        connection: dict[str, Any],
        concurrency: int,
        *,
        paced: bool,
        show: bool,
    ) -> None:
        from tqdm.auto import tqdm

        super().__init__()
        self._file, self.path = file, file.path if file is not None else None
        self.stopped: str | None = None
        self.skipped = self._dead = self._under_way = 0
        self._tokens = 0  # the most that one has taken
        self._connection, self._concurrency, self._source, self._paced = connection, concurrency, source, paced
        self._lazy = not isinstance(jobs, Sequence)  # whether how many there are is known at the end only
        self._jobs: list[_Job] = [] if self._lazy else [*jobs]
        self._coming = iter(jobs)
        self._pulling, self._pull = asyncio.Lock(), asyncio.Future[_Job | None](loop=io_thread.io_loop())
        self._how = {name: value for name in _MATTERS if (value := connection[name]) is not None}
        self._known: dict[str, Row] = {}  # what the file holds
        self._stated: tuple[list[dict[str, Any]], float] = [], 0.0  # the account's limits, and when they were stated
        self._rows: dict[str, Row] = {}  # rows are only added, so that any thread may read them
        self._times: Counter[str] = Counter()  # how many recordings with this key there have been
        self._running: set[Reply] = set()
        self._cancelled = False
        self._bar: Any = tqdm(total=len(self._jobs) or None, unit="recording", disable=not show)
        self._future_of_run = io_thread.submit(self._run())

    # --- what there is

    @property
    def rows(self) -> list[Row]:
        """Answers so far, in the order of the recordings."""
        return [self._row(job) for job in self._jobs if job.row.key in self._rows]

    @property
    def unfinished(self) -> list[Row]:
        """Recordings without an answer, of status `"unfinished"`; the next run asks about them."""
        return [job.row for job in self._jobs if job.row.key not in self._rows]

    def _row(self, job: _Job) -> Row:
        # Files of the same bytes are one question, and each has its own name.
        return replace(self._rows.get(job.row.key, job.row), name=job.row.name)

    @property
    def failed(self) -> list[Row]:
        """Those that failed; they are asked again on the next run."""
        return [row for row in self.rows if not row.over]

    @property
    def usd(self) -> float:
        """Cost of all of it in US dollars, earlier runs included."""
        return sum({row.key: row.usd or 0.0 for row in self.rows}.values())

    def table(self) -> Any:
        """Return the answers as a pandas `DataFrame`, a row for each recording, the unfinished ones too.

        Raises:
            InputError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("Your Python has no pandas. Install it (pip install pandas), or use .rows.") from error
        return pandas.DataFrame([asdict(self._row(job)) for job in self._jobs], columns=[*Row.__dataclass_fields__])

    def cancel(self) -> None:
        """Stop; what was answered stays, and running the same cell again goes on from here.

        No further recording is asked about, and what is still being sent is not. The answers under way are paid for:
        they are waited for and kept.
        """
        self._cancelled = True
        io_thread.io_loop().call_soon_threadsafe(self._pull_no_more)
        for reply in list(self._running):
            sent_seconds, seconds = reply.progress
            if seconds is None or sent_seconds < seconds:
                reply.session.close()

    kept = "What was answered is kept: it is in rtnb.last. Run the same line again to go on."

    def wait(self, timeout: float | None = None) -> "Results":
        """Block until it is over; see `Handle.wait`."""
        return super().wait(timeout)._told()

    async def _awaited(self) -> "Results":
        return (await super()._awaited())._told()

    def _told(self) -> "Results":
        if self.stopped:
            print(self.stopped)
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __repr__(self) -> str:
        state = "" if self.done else say(", still going")
        failed = say(", {count} failed", count=len(self.failed)) if self.failed else ""
        where = f", {printable(self.path)}" if self.path else ""
        count = say("{count} of {all}", count=len(self), all=len(self._jobs)) + failed
        why = f": {self.stopped}" if self.stopped else ""
        return f"Results({count}, {money(self.usd)}, {self._source}{where}{state}){why}"

    def _repr_html_(self) -> str:
        shown = [*self.rows, *(self.unfinished if self.done else [])]
        spent = amounts([row.usd for row in shown])
        words = [(row.name, row.text or row.error or "", translate(row.status)) for row in shown]
        rows = [[*of_row, usd] for of_row, usd in zip(words, spent, strict=True)]
        return html.table(["recording", "answer", "status", "US dollars"], rows, right=(3,), caption=repr(self))

    # --- on the I/O thread

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            while self._file is not None and not self._cancelled:
                if await asyncio.to_thread(self._file.take):
                    self._known = await asyncio.to_thread(self._file.read)
                    break
                await asyncio.sleep(0.1)
            await self._ask_all()
        except BaseException as raised:
            error = raised
        if self._file is not None:
            await asyncio.to_thread(self._file.release)
        self._bar.close()
        if isinstance(error, BudgetExceeded):
            spent = {"limit": money(error.limit_usd), "spent": money(error.spent_usd)}
            self.stopped = say(_OVER, **spent, left=len(self.unfinished), all=len(self._jobs))
        elif not isinstance(error, Exception) and (self.unfinished or error):
            error = InputError("You cancelled this. What was answered is kept; run the same line again to go on.")
        if isinstance(error, RtnbError):
            error.reply = self
        settle(self._future, self, error if isinstance(error, Exception) and not self.stopped else None)

    async def _ask_all(self) -> None:
        workers = [asyncio.ensure_future(self._work()) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            # Those under way have been paid for: they are waited for and written down.
            await asyncio.gather(*workers, return_exceptions=True)
            for job in self._jobs if self._known else ():  # those that nobody came to may be answered in the file
                await self._identify(job)

    async def _work(self) -> None:
        """Ask about one recording after the other, until something ends them all."""
        try:
            while not self._cancelled and (job := await self._next()) is not None:
                await self._one(job)
        except BaseException:
            self._pull_no_more()
            raise

    def _pull_no_more(self) -> None:
        self._coming = iter(())
        self._pull.cancel()

    async def _next(self) -> _Job | None:
        async with self._pulling:  # whatever yields recordings is asked by one thread at a time
            self._pull = asyncio.ensure_future(in_thread(functools.partial(next, self._coming, None)))
            job = await self._pull
        if job is not None and self._lazy:
            self._jobs.append(job)
        return job

    async def _identify(self, job: _Job) -> bool:
        """Find out which question it is. Return False for one that is answered, also in the file, or under way."""
        if job.row.key:
            return False
        await asyncio.to_thread(job.identify, self._how)
        key = job.row.key
        self._times[key] += 1
        if (row := self._known.get(key)) and row.over and key not in self._rows:
            self._rows[key] = row
            self.skipped += 1
        if key in self._rows:
            self._bar.update(1)
        return self._times[key] == 1 and key not in self._rows

    async def _one(self, job: _Job) -> None:
        if not await self._identify(job):
            return
        self._under_way += 1
        if self._file is not None:
            await asyncio.to_thread(self._file.prove, self._under_way)
        await self._pace(job)
        row, audio = await self._answer(job) if not self._cancelled else (None, None)
        self._under_way -= 1
        if row is None:
            return
        self._rows[row.key], self._tokens = row, max(self._tokens, row.tokens)
        if self._file is not None:
            await asyncio.to_thread(self._file.append, row)
            # The words, which were asked for, are safe by now, whatever becomes of the audio.
            if audio is not None and row.sound:
                await asyncio.to_thread(audio.save, row.sound)
        self._bar.update(self._times[row.key])

    async def _pace(self, job: _Job) -> None:
        """Wait until the account has room for one more beside those under way, by what the server stated last."""
        stated, at = self._stated
        tokens = self._tokens * self._under_way
        if self._paced and (seconds := limits.wait_before(stated, time.monotonic() - at, tokens)):
            await asyncio.sleep(seconds)

    async def _answer(self, job: _Job) -> tuple[Row | None, Clip | None]:
        if job.problem is not None:
            return replace(job.row, status="failed", error=str(job.problem)), None
        with contextlib.closing(connect(show=False, **self._connection)) as session:
            session.lifecycle.meter.patient = True  # those under way may cost less than they have set aside
            reply = session.ask(parts.Recording(job.source, job.row.name), job.row.prompt)
            self._running.add(reply)
            with contextlib.suppress(RtnbError):
                await reply
            self._running.discard(reply)
            if session.conversation.rate_limits:
                self._stated = session.conversation.rate_limits, time.monotonic()
            error, audio, sound = reply.error, reply.audio, None
            if isinstance(error, ConnectionFailed):
                if self._cancelled:
                    return None, None
                # Several that fail before anything succeeded: the network is gone, not the recording.
                self._dead += 1
                if self._dead >= 3 and not any(row.over for row in self._rows.values()):
                    raise error
            elif isinstance(error, KeyRefused | KeyMissing | BudgetExceeded) and not reply.usage:
                # No further recording would change that: it ends the run, and is not written down as this one's fault.
                raise error
            if audio is not None and self._file is not None:
                sound = self._file.sound_of(job.row.name, job.row.key)
            # A budget that ended after the answer was there does not undo the answer.
            status = reply.status if error is None or isinstance(error, BudgetExceeded) else "failed"
            said: dict[str, Any] = {"text": reply.text, "usd": reply.cost.usd, "tokens": reply.usage.total_tokens}
            problem = str(error) if error is not None else None
            return replace(job.row, status=status, sound=sound, error=problem, **said), audio


_OVER = (
    "Your budget of {limit} ended this map: {spent} is spent, and {left} of {all} recordings remain unasked. Raise "
    "budget= and run the same line again."
)
_BUSY = "Another map of this kernel still writes to {path}. This one goes on when that is over."


def _job(recording: parts.Recording, **about: Any) -> _Job:
    source, name = recording.source, recording.label
    if isinstance(source, Clip):
        name = source.name
    elif is_file(source):  # read twice here, which not every file allows
        source = read_whole(source, name)
    return _Job(source, Row("", printable(name), "unfinished", **about))


@takes_options(ConnectionOptions)
def map(
    clips: Any,
    prompt: str,
    *,
    model: str | None = None,
    modalities: Literal["audio", "text"] | Sequence[Literal["audio", "text"]] = "text",
    concurrency: int = 4,
    rate: Literal["account"] | None = "account",
    budget: float | Budget | None = None,
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
        clips: Recordings: whatever `ask` takes as one, an upload box, a list of them, or a folder, which stands for all
            files in it that are recordings; hidden ones are left out. An iterator is read as its recordings are asked
            about, in another thread.
        prompt: The question.
        model: The model's name. None: `gpt-realtime-2.1-mini`.
        modalities: `"text"`, or `"audio"` for spoken answers, saved beside the file.
        concurrency: How many at a time, 1–100; one process holds no more sessions.
        rate: `"account"` waits before a question for which the account has no room, by the limits the server stated
            last. None asks at once.
        budget: US dollars that all of it may cost, or a budget shared with others. Nothing is begun that what is left
            does not cover. None: no limit.
        out: The file of JSON Lines that answers are appended to; what it holds is not asked again. One map at a time
            has it: another of this kernel waits, another program's is refused. None: none is kept.
        show: Whether to show a progress bar.
        **connection: As described.

    Returns:
        `Results` that have started: `await` them or `.wait()`; `.table()` returns them for pandas. Where the budget
        ends them they are returned with rows `unfinished`; any other error that ends them has them as `reply`.

    Raises:
        InputError: If there is nothing to ask, an argument is not what it takes, answers cannot be kept in `out`, or
            another program's map writes there.
        KeyMissing: If a key is needed and none is found.

    Examples:
        >>> clips = [rtnb.samples()["question"], rtnb.samples()["weather"]]
        >>> results = rtnb.map(clips, "Repeat after me: done", practice=True, out=None, show=False).wait()
        >>> [(row.name, row.status) for row in results]
        [('question', 'completed'), ('weather', 'completed')]
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError("Your question is blank, or no text. Say what to do with the recordings.")
    if not 1 <= concurrency <= limits.MAX_SESSIONS:
        raise InputError(f"Your concurrency={concurrency} is out of range. Give 1 to {limits.MAX_SESSIONS}.")
    if rate not in ("account", None):
        raise InputError(f"Your rate={rate!r} is not known. Give 'account' or None.")
    parts.read_parts([prompt])  # raises here what each of the questions would
    lazy = isinstance(clips, Iterator) and not hasattr(clips, "read")  # an open file iterates over lines
    found = (parts.read_recordings(some) for some in clips) if lazy else iter([parts.read_recordings(clips)])
    how = {**connection, "model": model or models.DEFAULT, "modalities": settings.modality(modalities)}
    where = find_server(how["model"], cast(ServerOptions, connection))
    configuration(cast(ConnectionOptions, how), where.provider)  # raises here what each of the sessions would
    if where.provider.built_in and not connection["url"]:
        how["practice"] = True  # decided, and said, once; a saved session comes before it
    how["budget"] = Budget.of(budget)
    file = None if out is None else RowsFile(out, sounds=how["modalities"] == "audio")
    # In a folder that is asked about again, answers are no recordings.
    recordings = ([one for one in some if file is None or not file.spoke(one.source)] or some for some in found)
    made = (_job(one, source=where.source, prompt=prompt, model=how["model"]) for some in recordings for one in some)
    try:
        if file is not None and not file.take():
            print(say(_BUSY, path=printable(file.path)))
        jobs = made if lazy else list(made)
        return Results(jobs, where.source, file, how, concurrency, paced=rate is not None, show=show)
    except BaseException:  # the stop button can be pressed here too
        if file is not None:
            file.release()
        raise


def answer(recording: Any, prompt: str, **options: Any) -> Row:
    """Ask the question of one recording and wait for its row: what `map` does for each, as a function of its own.

    It can be pickled and holds nothing between calls, so that a pool of processes or a cluster can run it:
    `pool.map(functools.partial(answer, prompt="Summarize."), paths)`.

    Args:
        recording: One recording, as `map` takes them.
        prompt: The question.
        **options: As `map` takes them, without `out`.

    Raises:
        InputError: If it is not one recording, or an argument is not what `map` takes.
        KeyMissing: If a key is needed and none is found.
    """
    [row] = map([recording], prompt, out=None, concurrency=1, **{"show": False, **options}).wait()
    return row
