"""The I/O thread, and running a coroutine from anywhere."""

import asyncio
import threading

import pytest

from rtnb.errors import InputError
from rtnb.transport import io_thread
from rtnb.transport.handle import Handle


async def answer():
    await asyncio.sleep(0)
    return 42


def test_work_runs_on_the_one_thread():
    async def where():
        return threading.current_thread().name, io_thread.on_io_thread()

    assert io_thread.submit(where()).result(5) == ("rtnb-io", True)
    assert io_thread.submit(where()).result(5) == ("rtnb-io", True)
    assert not io_thread.on_io_thread()


def test_run_works_in_a_script():
    assert io_thread.run(answer()) == 42


def test_run_works_where_a_loop_is_running_already():
    # In a process of its own: nest_asyncio patches asyncio for good.
    import subprocess
    import sys

    code = (
        "import asyncio, rtnb\n"
        "async def answer():\n    await asyncio.sleep(0)\n    return 42\n"
        "async def cell():\n    return rtnb.run(answer())\n"
        "print(asyncio.run(cell()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "42"


def test_run_passes_on_what_is_raised():
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        io_thread.run(fails())


def test_run_takes_a_handle_too():
    assert io_thread.run(Handle(io_thread.submit(answer()))) == 42


def test_a_handle_is_awaited_from_another_loop_and_waited_for():
    async def main():
        handle = Handle(io_thread.submit(answer()))
        return await handle, await handle

    assert asyncio.run(main()) == (42, 42)
    assert Handle(io_thread.submit(answer())).wait(5) == 42


def test_giving_up_waiting_does_not_cancel_the_work():
    async def slow():
        await asyncio.sleep(0.2)
        return "done"

    async def main():
        handle = Handle(io_thread.submit(slow()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle, 0.01)
        return await handle

    assert asyncio.run(main()) == "done"


def test_waiting_on_the_io_thread_is_refused_instead_of_stopping_every_socket():
    handle = Handle(io_thread.submit(asyncio.sleep(5)))

    async def wrong():
        handle.wait(1)

    with pytest.raises(InputError, match="I/O thread"):
        io_thread.submit(wrong()).result(5)


def test_an_error_is_kept_and_raised_to_everybody_who_asks():
    async def fails():
        raise ValueError("no")

    handle = Handle(io_thread.submit(fails()))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            handle.wait(5)
    assert handle.done
    assert isinstance(handle.error, ValueError)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_what_wants_to_end_the_program_ends_no_io_thread(raised, caplog):
    def leave():
        raise raised("enough")

    async def leave_in_a_task():
        leave()

    thread = io_thread.submit(where_am_i()).result(10)
    io_thread.io_loop().call_soon_threadsafe(leave)
    with pytest.raises(raised):
        io_thread.submit(leave_in_a_task()).result(10)
    assert io_thread.submit(where_am_i()).result(10) == thread
    assert "wanted to end the program" in caplog.text


async def where_am_i():
    return threading.get_ident()
