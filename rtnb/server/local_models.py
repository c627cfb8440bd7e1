"""Language models that are served on this computer, by the programs that people run them with."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator, Mapping

from rtnb.errors import InputError
from rtnb.texts.language import say

# Where each of them listens unless it is told otherwise, as each documents.
_PORTS: Mapping[str, int] = {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}
# What makes vectors of a text, and what Ollama lists but sends away from this computer.
_NO_CHAT = re.compile(r"embed|[:-]cloud$")
_CHOSEN = (
    "{model} answers, at {url} on this computer (the usual port of {program}). It is sent the instructions, what "
    "is typed, the words recognised in recordings, pictures, functions and their results; no sound."
)
_OTHERS = "Found here: {names}. Choose with brain_model=."


def _models(port: int) -> Iterator[str]:
    """Ask a port of this computer which models it serves; nothing else is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    # Others than these programs listen on such ports too, practice servers of ours among them.
    strange = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError)
    with contextlib.closing(connection), contextlib.suppress(*strange):
        connection.request("GET", "/v1/models")
        listed = json.loads(connection.getresponse().read(1 << 20))["data"]
        names = [one["id"] for one in listed if one.get("owned_by") != "rtnb practice"]
        yield from [name for name in names if not _NO_CHAT.search(name)]


def choose(model: str | None) -> tuple[str, str]:
    """Find a language model on this computer's usual ports, and print which it is and what it will be sent.

    Args:
        model: The name of the model to find; None takes the first.

    Returns:
        The base URL of its server, and its name there.

    Raises:
        InputError: There is none.
    """
    served = [(f"http://127.0.0.1:{port}/v1", name, its) for its, port in _PORTS.items() for name in _models(port)]
    names = ", ".join(f"{name} ({url})" for url, name, _ in served) or say("none")
    if not (fits := [one for one in served if model in (None, one[1])]):
        ports = ", ".join(f"{program} {port}" for program, port in _PORTS.items())
        raise InputError(
            f"No such language model is served on this computer, at the ports of {ports}. "
            f"Found here: {names}. Start one, or give its address as llm=."
        )
    url, name, program = fits[0]
    print(say(_CHOSEN, program=program, url=url, model=name), *[say(_OTHERS, names=names)] * (len(served) > 1))
    return url, name
