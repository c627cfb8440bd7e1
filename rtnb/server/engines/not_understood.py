"""Answer to speech in a language that the ASR does not know: that it was not understood, not a guess at its words."""

from typing import Any

from rtnb.server import languages
from rtnb.server.protocol.requests import Request, Text


def not_understood(request: Request) -> list[Text]:
    """Say that the user's last turn was not understood, in the user's language as far as it is known.

    Args:
        request: What is to be answered. Audio parts that were not understood have `"unintelligible"` set to True.

    Returns:
        Sentences of the answer: in Chinese, or in English, or in both where nothing shows which. None where there is
        something else to answer, or a function must be called.
    """
    if request.tool_choice not in ("auto", "none"):
        return []
    turn: list[dict[str, Any]] = []
    for item in reversed(request.items):
        if item.get("type") != "message" or item.get("role") != "user":
            break
        turn += item["content"]
    clips = [part for part in turn if part["type"] == "input_audio"]
    if any(part["transcript"] for part in clips) or not any(part.get("unintelligible") for part in clips):
        return []
    from rtnb.server.nlu.lexicon import TEMPLATES  # not at the top: it takes long to read

    written = (str(part.get("text") or "") for item in request.items for part in item.get("content", ()))
    named = request.prompt_language or ""
    spoken = named or languages.guess(languages.together([request.instructions, request.asked, *written]))
    codes = ["zh"] if spoken.startswith("zh") else ["en"] if named else ["en", "zh"]
    return [Text(TEMPLATES[code]["not_understood"]) for code in codes]
