"""A Python function as a tool: what the model is told, what the function gets, and what goes wrong."""

import asyncio
import concurrent.futures
import datetime
import enum
import functools
import json
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest

from rtnb.errors import InputError, ToolFailed
from rtnb.session.tools import Tool, Toolbox, ToolCall


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Place:
    """A point on the map."""

    title: str
    latitude: float = 0.0


class Guest(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0, description="In years.")


class Node(pydantic.BaseModel):
    name: str
    children: list["Node"] = []


def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather of a place.

    It is made up.

    Args:
        city: Where, for example "Oslo"
            or "Bergen".
        unit: Celsius or Fahrenheit.

    Returns:
        Degrees, in words.
    """
    return f"3 °{unit}"


def run(function: Any, arguments: str = "{}", **options: Any) -> ToolCall:
    tool = function if isinstance(function, Tool) else Tool.from_function(function, **options)
    return asyncio.run(tool.run(arguments, call_id="call_1"))


# --- what the model is told


def test_a_function_becomes_a_tool_as_the_api_takes_it():
    assert Tool.from_function(weather).definition() == {
        "type": "function",
        "name": "weather",
        "description": "Tell the weather of a place.\n\nIt is made up.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": 'Where, for example "Oslo" or "Bergen".'},
                "unit": {
                    "type": "string",
                    "enum": ["C", "F"],
                    "default": "C",
                    "description": "Celsius or Fahrenheit.",
                },
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_the_schemas_of_types():
    def f(
        count: int,
        share: float,
        sure: bool,
        when: datetime.date,
        colour: Colour,
        names: list[str],
        scores: dict[str, float],
        maybe: Optional[str] = None,  # noqa: UP045
        level: Annotated[int, pydantic.Field(ge=1, le=5, description="1 to 5")] = 3,
    ) -> None: ...

    properties = Tool.from_function(f).parameters["properties"]
    assert properties["count"] == {"type": "integer"}
    assert properties["share"] == {"type": "number"}
    assert properties["sure"] == {"type": "boolean"}
    assert properties["when"] == {"type": "string", "format": "date"}
    assert properties["colour"] == {"type": "string", "enum": ["red", "blue"]}
    assert properties["names"] == {"type": "array", "items": {"type": "string"}}
    assert properties["scores"] == {"type": "object", "additionalProperties": {"type": "number"}}
    assert properties["maybe"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert properties["level"] == {"type": "integer", "minimum": 1, "maximum": 5, "default": 3, "description": "1 to 5"}


def test_dataclasses_and_models_are_written_out_in_place():
    def invite(guest: Guest, place: Place) -> None: ...

    schema = Tool.from_function(invite).parameters
    assert "$defs" not in schema
    assert schema["properties"]["guest"]["properties"]["age"] == {
        "type": "integer",
        "minimum": 0,
        "description": "In years.",
    }
    # The dataclass's field is called `title`; it must not go the way of the schema's own titles.
    assert schema["properties"]["place"]["properties"]["title"] == {"type": "string"}
    assert schema["properties"]["place"]["required"] == ["title"]


def test_a_type_that_holds_itself_stays_a_reference():
    def plant(tree: Node) -> int:
        return len(tree.children)

    schema = Tool.from_function(plant).parameters
    assert schema["properties"]["tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert run(plant, '{"tree": {"name": "oak", "children": [{"name": "leaf"}]}}').output == "1"


def test_without_annotations_the_default_tells_the_type():
    def f(a, b=3, c="x", d=None): ...

    properties = Tool.from_function(f).parameters["properties"]
    assert properties == {
        "a": {},
        "b": {"type": "integer", "default": 3},
        "c": {"type": "string", "default": "x"},
        "d": {"default": None},
    }


def test_parameters_may_have_any_name():
    def f(schema: int, copy: int, _hidden: int, model_config: int, class_: int) -> int:
        return schema + copy + _hidden + model_config + class_

    call = run(f, '{"schema": 1, "copy": 2, "_hidden": 3, "model_config": 4, "class_": 5}')
    assert call.output == "15"


@pytest.mark.parametrize(
    "doc",
    [
        "Say it.\n\nArgs:\n    word: The word.",
        "Say it.\n\nParameters\n----------\nword : str\n    The word.",
        "Say it.\n\n:param word: The word.",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_docstrings_in_three_styles(doc: str):
    def say(word: str) -> None: ...

    say.__doc__ = doc
    tool = Tool.from_function(say)
    assert tool.description == "Say it."
    assert tool.parameters["properties"]["word"]["description"] == "The word."


def test_a_function_without_a_docstring_is_a_tool_too():
    def f() -> None: ...

    assert Tool.from_function(f).definition() == {
        "type": "function",
        "name": "f",
        "description": "",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


# --- what the function gets


def test_arguments_come_back_as_the_types_they_were():
    got: dict[str, Any] = {}

    def f(
        when: datetime.date,
        at: datetime.datetime,
        colour: Colour,
        place: Place,
        guest: Guest,
        pair: tuple[int, str],
        tags: set[str],
        count: int,
    ) -> None:
        got.update(locals())

    arguments = {
        "when": "2026-11-22",
        "at": "2026-11-22T10:30:00Z",
        "colour": "blue",
        "place": {"title": "Oslo"},
        "guest": {"name": "Ada", "age": 36},
        "pair": [1, "x"],
        "tags": ["a", "b", "a"],
        "count": "7",
    }
    assert run(f, json.dumps(arguments)).error is None
    assert got["when"] == datetime.date(2026, 11, 22)
    assert got["at"] == datetime.datetime(2026, 11, 22, 10, 30, tzinfo=datetime.UTC)
    assert got["colour"] is Colour.BLUE
    assert got["place"] == Place("Oslo")
    assert got["guest"] == Guest(name="Ada", age=36)
    assert got["pair"] == (1, "x")
    assert got["tags"] == {"a", "b"}
    assert got["count"] == 7


def test_what_the_model_leaves_out_is_the_functions_own_default():
    default: list[str] = []

    def f(names: list[str] = default, thing: object = threading.Lock) -> bool:
        return names is default and thing is threading.Lock

    assert run(f).output == "true"


def test_arguments_as_an_older_model_writes_them():
    # Recorded, gpt-realtime: valid JSON with odd spacing.
    assert run(weather, '{  \n  "city": "London" \n} \n').arguments == {"city": "London"}


def test_no_arguments_may_come_as_an_empty_text():
    def now() -> str:
        return "noon"

    assert run(now, "").output == "noon"


def test_positional_only_keyword_only_partial_methods_and_objects():
    def f(a: int, /, b: int, *, c: int = 1) -> int:
        return a * 100 + b * 10 + c

    assert run(f, '{"b": 2, "a": 3, "c": 4}').output == "324"

    partial = Tool.from_function(functools.partial(f, c=9), name="g")
    assert set(partial.parameters["properties"]) == {"a", "b"}
    assert run(partial, '{"a": 1, "b": 2}').output == "129"

    class Counter:
        """Counts."""

        total = 0

        def add(self, step: int) -> int:
            """Add to the total."""
            self.total += step
            return self.total

        async def __call__(self, step: int) -> int:
            """Count on."""
            return self.add(step)

    counter = Counter()
    assert run(counter.add, '{"step": 2}').output == "2"
    assert set(Tool.from_function(counter.add).parameters["properties"]) == {"step"}
    called = Tool.from_function(counter, name="count")
    assert called.description == "Count on."
    assert run(called, '{"step": 3}').output == "5"


# --- what the model hears


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("words", "words"),
        (None, "done"),
        (3, "3"),
        (True, "true"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Place("Oslo"), '{"title":"Oslo","latitude":0.0}'),
        (Guest(name="Ada", age=36), '{"name":"Ada","age":36}'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (Colour.RED, '"red"'),
        (float("nan"), "NaN"),
        ("Gruß ✓", "Gruß ✓"),
    ],
)
def test_results_as_text(result: object, told: str):
    def f() -> object:
        return result

    assert run(f).output == told


def test_an_async_function_runs_on_the_loop():
    threads: list[int] = []

    async def f(city: str) -> str:
        threads.append(threading.get_ident())
        await asyncio.sleep(0)
        return city

    assert run(f, '{"city": "Oslo"}').output == "Oslo"
    assert threads == [threading.get_ident()]


def test_a_sync_function_does_not_hold_up_the_loop():
    def slow() -> str:
        time.sleep(0.3)
        return threading.current_thread().name

    async def both() -> tuple[ToolCall, int]:
        call = asyncio.ensure_future(Tool.from_function(slow).run("{}"))
        ticks = 0
        while not call.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return await call, ticks

    call, ticks = asyncio.run(both())
    assert call.output == "rtnb-tool"
    assert ticks > 5


# --- what goes wrong


def test_an_error_in_the_function_is_told_and_kept():
    def weather(city: str) -> str:
        raise LookupError(f"no such city: {city}")

    call = run(weather, '{"city": "Olso"}')
    assert call.output == "Error: weather failed: LookupError: no such city: Olso."
    assert isinstance(call.error, ToolFailed)
    assert isinstance(call.error.__cause__, LookupError)
    assert repr(call) == "weather(city='Olso') ✗ LookupError: no such city: Olso"
    assert str(call.error).startswith("Your tool weather failed: LookupError: no such city: Olso.")


@pytest.mark.parametrize("kind", ["a thread's", "the loop's"])
def test_a_future_that_was_cancelled_inside_a_tool_is_its_own_error(kind):
    def looks_up(city: str) -> str:
        """Look a city up."""
        future = concurrent.futures.Future()
        future.cancel()
        return future.result()

    async def awaits(city: str) -> str:
        """Await a city."""
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    tool = looks_up if kind == "a thread's" else awaits

    async def main():
        return await asyncio.wait_for(Toolbox([tool]).run(tool.__name__, '{"city": "Rome"}'), 10)

    call = asyncio.run(main())
    assert isinstance(call.error, ToolFailed)
    assert "CancelledError" in call.output


def test_call_raises_where_run_tells():
    def f() -> None:
        raise ValueError("bad")

    with pytest.raises(ToolFailed, match="ValueError: bad") as error:
        asyncio.run(Tool.from_function(f).call("{}"))
    assert error.value.tool == "f"
    assert error.value.arguments == "{}"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"city": ', "its arguments are not JSON"),
        ("[1]", "its arguments are not a JSON object"),
        ("{}", "its arguments do not fit: city: Field required"),
        ('{"city": "Oslo", "unit": "K"}', "its arguments do not fit: unit: Input should be 'C' or 'F'"),
        ('{"city": "Oslo", "country": "NO"}', "country: Extra inputs are not permitted"),
        ('{"city": {"name": "Oslo"}}', "city: Input should be a valid string"),
    ],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str, told: str):
    call = run(weather, arguments)
    assert told in str(call.output)
    assert str(call.output).startswith("Error: weather failed: its arguments ")
    assert call.error is not None
    # pydantic's own messages carry a link and the input; the model needs neither.
    assert "pydantic.dev" not in str(call.output)
    assert "✗ its arguments" in repr(call)


def test_a_function_that_takes_too_long_is_left_behind():
    release = threading.Event()

    def slow() -> None:
        release.wait(10)

    begun = time.monotonic()
    call = run(Tool.from_function(slow, timeout=0.1))
    release.set()
    assert time.monotonic() - begun < 8
    assert call.output == "Error: slow failed: it did not finish within 0.1 s."
    assert isinstance(call.error, ToolFailed)


def test_an_async_function_that_takes_too_long_is_cancelled():
    cancelled = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    call = run(Tool.from_function(slow, timeout=0.05))
    assert "it did not finish within 0.05 s" in str(call.output)
    assert cancelled == [True]


def test_a_timeout_of_the_functions_own_is_told_as_such():
    def f() -> None:
        raise TimeoutError("the oven")

    assert run(f).output == "Error: f failed: TimeoutError: the oven."


def test_exit_and_stopiteration_end_the_call_and_nothing_else():
    def leave() -> None:
        raise SystemExit(3)

    def stop() -> None:
        raise StopIteration

    assert run(leave).output == "Error: leave failed: RuntimeError: SystemExit: 3."
    assert "StopIteration" in str(run(stop).output)


def test_a_call_that_is_cancelled_stays_cancelled():
    async def f() -> None:
        await asyncio.sleep(10)

    async def cancel() -> None:
        task = asyncio.ensure_future(Tool.from_function(f).run("{}"))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


def test_a_key_in_an_error_is_masked():
    secret = "sk-proj-" + "Zq7Lw2" * 8

    def f() -> None:
        raise ValueError(f"401 for {secret}")

    call = run(f)
    assert "Zq7" not in str(call.output)
    assert "Zq7" not in repr(call)
    assert "Zq7" not in str(call.error)


# --- how a call reads


def test_a_call_reads_as_it_went():
    done = ToolCall("weather", {"city": "Oslo"}, "call_1", "3 °C", None, 0.2)
    assert repr(done) == "weather(city='Oslo') → 3 °C"
    assert repr(ToolCall("weather", {"city": "Oslo"}, "call_1")) == "weather(city='Oslo') …"
    assert repr(ToolCall("weather", '{"city":', "call_1", "x")) == 'weather({"city":) → x'
    assert len(repr(ToolCall("f", {"text": "a" * 9000}, "call_1", "b" * 9000))) < 300


# --- what is no tool


def test_what_cannot_be_a_tool_says_why():
    with pytest.raises(InputError, match=r"Your tool 'weather' is not a function"):
        Tool.from_function("weather")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Your tool '<lambda>' needs a name"):
        Tool.from_function(lambda city: city)


def test_a_type_that_json_cannot_carry():
    def f(lock: threading.Event) -> None: ...

    with pytest.raises(InputError, match=r"Your tool f has a parameter of a type that JSON cannot carry"):
        Tool.from_function(f)


def test_an_annotation_that_cannot_be_read():
    def f(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InputError, match=r"Your tool f has an annotation that cannot be read .*Nowhere"):
        Tool.from_function(f)


# --- many tools


def test_a_toolbox_passes_definitions_through():
    mcp = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp", "require_approval": "never"}
    own = {"type": "function", "name": "lights", "description": "", "parameters": {"type": "object"}}
    box = Toolbox([weather, mcp, own])
    assert box.definitions() == [Tool.from_function(weather).definition(), mcp, own]
    assert "weather" in box
    assert "lights" not in box
    assert len(box) == 3
    assert repr(box) == "Toolbox(weather, docs, lights)"


def test_a_toolbox_calls_by_name():
    call = asyncio.run(Toolbox([weather]).run("weather", '{"city":"Oslo"}', call_id="call_7"))
    assert (call.output, call.call_id) == ("3 °C", "call_7")
    assert call.seconds is not None


def test_a_name_the_model_made_up_is_told_with_those_there_are():
    call = asyncio.run(Toolbox([weather]).run("forecast", "{}"))
    assert call.output == "Error: forecast failed: there is no function of this name here; there are: weather."
    assert isinstance(call.error, ToolFailed)


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        (weather, "is a single tool"),
        ([weather, weather], "the name 'weather' twice"),
        ([{"type": "function", "function": {"name": "f"}}], "Chat Completions' shape"),
        ([{"type": "function"}], "no usable 'name'"),
        ([{"type": "mcp", "server_url": "https://example.com"}], "no 'server_label'"),
        ([{"type": "mcp", "server_label": "docs"}], "does not say where its server is"),
        ([{"type": "web_search"}], "knows 'function' and 'mcp'"),
        (["weather"], "is not a function"),
    ],
)
def test_what_a_toolbox_refuses(tools: Any, why: str):
    with pytest.raises(InputError, match=why):
        Toolbox(tools)
