"""Messages of a chat-completions request, from a conversation in the Realtime API's items.

The Realtime API takes items in any order; chat servers do not. Most models' templates want turns that alternate, a
result right behind its call, and the user's word last, and refuse the whole request otherwise (seen with llama.cpp:
"Cannot have 2 or more assistant messages at the end of the list"). So the conversation is put into that shape.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rtnb.server.protocol.requests import Request

_UNSAID = {"input_audio": "(a recording in which no words could be heard)"}
_ALOUD = "Your answer is read out aloud: speak plainly, without Markdown or lists."
_NO_RESULT = "(no result has come yet)"
_BEGIN = "(The user has not said anything yet. Begin.)"
_NO_FIELDS = {"type": "object", "properties": {}}


def messages(request: Request) -> list[dict[str, Any]]:
    """Turn a conversation into chat messages.

    Args:
        request: What to answer.

    Returns:
        Chat messages: recordings as their recognised words, pictures passed through, consecutive messages of one
        speaker as one, consecutive calls in one assistant message with a `tool` message for each of them behind it.
    """
    system = request.instructions
    system = f"{system}\n\n{_ALOUD}".strip() if "audio" in request.modalities else system
    found: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    results = {item["call_id"]: item["output"] for item in request.items if item["type"] == "function_call_output"}
    called = {item["call_id"] for item in request.items if item["type"] == "function_call"}
    for item in request.items:
        kind = item["type"]
        if kind == "function_call":
            _add_call(found, item)
        elif kind == "function_call_output" and item["call_id"] not in called:
            # Its call is no longer in the conversation.
            _add(found, "user", f"(the result of a function called before: {item['output']})")
        elif kind == "message" and (content := _content(item["content"])):
            _add(found, item["role"], content)
    answered: list[dict[str, Any]] = []
    for message in found:
        calls = [call["id"] for call in message.get("tool_calls", ())]
        results_of = [{"role": "tool", "tool_call_id": one, "content": results.get(one, _NO_RESULT)} for one in calls]
        answered += [message, *results_of]
    begins = all(message["role"] == "system" for message in answered)
    # Behind an assistant's message a chat server would write on in the middle of it, or refuse.
    if begins or answered[-1]["role"] == "assistant":
        answered.append({"role": "user", "content": request.asked or (_BEGIN if begins else "(Go on.)")})
    return answered


def tools(request: Request) -> dict[str, Any]:
    """Return the `tools` and `tool_choice` of a chat request; nothing where the model may call no function."""
    found = [{"type": "function", "function": _function(tool)} for tool in request.functions]
    named = request.tool_choice
    choice = named if isinstance(named, str) else {"type": "function", "function": {"name": named.get("name")}}
    return {"tools": found, "tool_choice": choice} if found else {}


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": tool.get("description") or "", "parameters": tool.get("parameters") or _NO_FIELDS}
    return {"name": tool["name"], **described}


def _add(found: list[dict[str, Any]], role: str, content: str | list[dict[str, Any]]) -> None:
    last = found[-1] if found else {}
    if role == "system" or last.get("role") != role or "tool_calls" in last:
        found.append({"role": role, "content": content})
    elif isinstance(last["content"], str) and isinstance(content, str):
        last["content"] += "\n" + content
    else:
        last["content"] = [*_parts(last["content"]), *_parts(content)]


def _add_call(found: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    function = {"name": item["name"], "arguments": item["arguments"] or "{}"}
    call = {"id": item["call_id"], "type": "function", "function": function}
    if not found or found[-1]["role"] != "assistant":
        found.append({"role": "assistant", "content": None})
    found[-1].setdefault("tool_calls", []).append(call)


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _content(parts: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "input_image":
            image = {"url": part["image_url"], "detail": part.get("detail") or "auto"}
            found.append({"type": "image_url", "image_url": image})
        elif text := part.get("text") or part.get("transcript") or _UNSAID.get(part["type"]):
            found.append({"type": "text", "text": text})
    return "\n".join(part["text"] for part in found) if all(part["type"] == "text" for part in found) else found
