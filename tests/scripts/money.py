"""What it will cost, what it does cost, and a stop before it is too much."""

import rtnb

print(rtnb.estimate(seconds_in=60, seconds_out=60, turns=4))
with rtnb.connect(practice=True, budget=0.014) as chat:
    try:
        for question in ("Hello", "Tell me a story", "And then?", "And then?", "And then?", "And then?"):
            chat.ask(question).wait()
    except rtnb.RtnbError as stop:
        print(type(stop).__name__, stop.spent_usd == chat.budget.spent)
    print(chat.cost.usd > 0, chat.usage.total_tokens > 0)
