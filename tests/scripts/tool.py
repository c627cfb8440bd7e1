"""A Python function as a tool: called by the model, its answer spoken."""

from typing import Literal

import rtnb


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Tell the weather.

    Args:
        city: The city.
        unit: Which degrees.
    """
    return "3 °C, fog"


with rtnb.connect(practice=True, tools=[weather], modalities="text") as chat:
    reply = chat.ask("What is the weather in Oslo?").wait()
    print(reply.tool_calls)
    print(reply.text)
