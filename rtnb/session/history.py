"""Conversation so far as text, for a new server session."""

from collections.abc import Awaitable, Callable, Collection

from rtnb.errors import ServerError
from rtnb.protocol.items import Turn
from rtnb.session import exchanges
from rtnb.transport.channel import Channel


def give_history(
    channel: Channel, warn: Callable[[str], None], left_out: Collection[Turn] = (), mark: str = ""
) -> Awaitable[None]:
    """Give a new server session the conversation so far, under the items' old ids, so that no turn is there twice.

    Args:
        channel: The session's.
        warn: Keeps a sentence in the session's warnings.
        left_out: Turns that are not given.
        mark: What stands behind the words of a turn that was cut.

    Returns:
        Done when the server has answered; all of it is sent at once.
    """
    talk, items = channel.conversation, []
    answered = {turn.item.get("call_id") for turn in talk.turns if turn.type == "function_call_output"}
    for turn in [turn for turn in talk.turns if turn not in left_out]:
        if (words := words_heard(turn, mark).strip()) and turn.type == "message":
            item = exchanges.message(turn.role, words)
        elif turn.type.startswith("function_call") and turn.item.get("call_id") in answered:
            kept = ("type", "name", "call_id", "arguments", "output")
            item = {name: turn.item[name] for name in kept if name in turn.item}
        else:
            continue
        talk.history.expect(turn, words)
        items.append({"id": turn.item_id, **item})
    given = exchanges.create_items(channel, items)

    async def taken() -> None:
        try:
            await given
        except ServerError as refused:
            warn(f"The talk goes on without all of its history. {refused}")
        finally:
            talk.history.end()

    return taken()


def words_heard(turn: Turn, mark: str = "") -> str:
    """Return the words of a turn; of one that was spoken over about those that were heard, and the mark."""
    heard, unheard = turn.cut()
    return heard + (mark if heard and unheard else "")
