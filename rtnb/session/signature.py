"""From a function's signature and docstring to the schema a model reads, and from a call's values to arguments.

Schema and validation are pydantic's: it knows every annotation people write (`Literal`, enums, dataclasses, models,
dates, `Annotated[int, Field(ge=0)]`), turns JSON back into those very types, and says what is wrong in words a model
can act on. It weighs 3 MB, is on every Colab machine, and is imported when the first tool is made. Docstrings are read
by docstring-parser (22 kB, no dependencies) in Google's, NumPy's and Sphinx's styles.
"""

import functools
import inspect
import itertools
import typing
from collections.abc import Callable
from typing import Any

from rtnb.errors import InputError


def docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Read what a function does, and what each of its arguments means."""
    plain = unwrapped(function)
    text = inspect.getdoc(plain)
    if not inspect.isroutine(plain):
        # An object that can be called: __call__ says what it does; its class's docstring says what it is.
        text = inspect.getdoc(type(plain).__call__) or inspect.getdoc(type(plain))
    if not text:
        return "", {}
    import docstring_parser

    parsed = docstring_parser.parse(text)
    arguments = {argument.arg_name: " ".join((argument.description or "").split()) for argument in parsed.params}
    said = "\n\n".join(part.strip() for part in (parsed.short_description, parsed.long_description) if part)
    return said, arguments


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside any number of `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _hints(plain: Callable[..., Any], name: str) -> dict[str, Any]:
    called = plain.__init__ if inspect.isclass(plain) else type(plain).__call__
    target = plain if inspect.isroutine(plain) else called
    try:
        return typing.get_type_hints(inspect.unwrap(target), include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        wrong = f"Your tool {name} has an annotation that cannot be read ({error})."
        remedy = "Define its types at the top of the notebook, not inside a function."
        raise InputError(f"{wrong} {remedy}", tool=name) from error


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in fixed]


def model_of(function: Callable[..., Any], plain: Callable[..., Any], name: str, descriptions: dict[str, str]) -> Any:
    """Make a pydantic model of the arguments, whose fields have the parameters' names as aliases."""
    from pydantic import BaseModel, ConfigDict, Field, create_model
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
    from pydantic_core import PydanticSerializationError, to_json

    try:
        parameters = _parameters(function)
    except (TypeError, ValueError) as error:
        wrong = f"Your tool {name} has no signature that can be read. Wrap it in a function with typed ones."
        raise InputError(wrong, tool=name) from error
    hints = _hints(plain, name)
    fields: dict[str, Any] = {}
    for place, parameter in enumerate(parameters):
        default = parameter.default
        annotation = hints.get(parameter.name, Any)
        if annotation is Any and default not in (parameter.empty, None):
            annotation = type(default)
        about: dict[str, Any] = {"alias": parameter.name}
        if descriptions.get(parameter.name):
            about["description"] = descriptions[parameter.name]
        if default is not parameter.empty:
            try:
                to_json(default)
                about["default"] = default
            except (PydanticSerializationError, ValueError):
                # It cannot be shown to the model; that it may be left out can.
                about["default_factory"] = lambda default=default: default
        # Fields by place and not by name: a parameter may be called `schema`, `copy` or `_city`.
        fields[f"p{place}"] = (annotation, Field(**about))
    try:
        config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, protected_namespaces=())
        model: type[BaseModel] = create_model(name, __config__=config, **fields)
        model.model_json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as error:
        wrong = f"Your tool {name} has a parameter of a type that JSON cannot carry ({str(error).splitlines()[0]})."
        remedy = "Use text, numbers, lists, dicts, dates, enums, dataclasses or pydantic models."
        raise InputError(f"{wrong} {remedy}", tool=name) from error
    return model


def schema_of(model: Any) -> dict[str, Any]:
    """Write the model's JSON Schema as short as it can be: every word of it is paid for at each turn."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    kept: dict[str, None] = {}

    def plain(node: Any, inside: tuple[str, ...], names: bool = False) -> Any:
        if isinstance(node, list):
            return [plain(each, inside) for each in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str) and not names:
            name = reference.rpartition("/")[2]
            rest = {key: plain(value, inside) for key, value in node.items() if key != "$ref"}
            if name in inside:
                # A type that holds itself cannot be written out; it stays a reference.
                kept[name] = None
                return {"$ref": reference, **rest}
            return {**plain(definitions[name], (*inside, name)), **rest}
        return {
            key: plain(value, inside, names=key in ("properties", "$defs") and not names)
            for key, value in node.items()
            # Titles only repeat the names. (`names`: here the keys are parameters' own names.)
            if names or not (key == "title" and isinstance(value, str))
        }

    short: dict[str, Any] = plain(schema, ())
    short.pop("description", None)  # BaseModel's own docstring, where pydantic puts one.
    if kept:
        short["$defs"] = {name: plain(definitions[name], (name,)) for name in kept}
    return short


def bound(function: Callable[..., Any], values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Split values by name into positional and keyword arguments; only positional-only parameters go by position."""
    by_position = itertools.takewhile(lambda p: p.kind is p.POSITIONAL_ONLY and p.name in values, _parameters(function))
    args = tuple(values[parameter.name] for parameter in by_position)
    return args, dict(itertools.islice(values.items(), len(args), None))
