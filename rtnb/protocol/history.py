"""Turns that a new server session is given again after a break, and the items it makes of them."""

from collections.abc import Mapping
from typing import Any

from rtnb.protocol.items import Turn


class History:
    """Turns given to one server session again, whose items it announces as if they were new.

    We give each item its old id, which OpenAI's server takes over (recorded). Servers that make up an id are followed:
    from the first such item on, items are matched to the expected turns in order.

    Attributes:
        given: Turns whose items the present server session has announced, and the words it was given of each.
    """

    def __init__(self) -> None:
        self._expected: dict[Turn, str] = {}
        self.given: dict[Turn, str] = {}
        self._renames = False

    def expect(self, turn: Turn, words: str) -> None:
        """Take note that `words` of `turn` go to the server: the item it announces next of this kind is that turn."""
        self._expected[turn] = words

    def end(self) -> None:
        """Take note that nothing more is given to the server: what it announces now is new."""
        self._expected.clear()
        self._renames = False

    def claim(self, item: Mapping[str, Any], items: dict[str, Turn], *, added: bool) -> Turn | None:
        """Find the turn that an announced item is a copy of. The turn keeps its own words and audio.

        Args:
            item: The item as the server announced it.
            items: The items of the present server session by id; a turn that is found is entered under its new id.
            added: True for `conversation.item.added`, the only event that may announce a turn for the first time.

        Returns:
            The turn, with the id that the server gave it. None for a new item.
        """
        item_id, role = item.get("id") or "", item.get("role")
        expected, known = self._expected if added else {}, items.get(item_id)
        turn = next((turn for turn in expected if turn.item_id == item_id and not self._renames), None)
        if turn is None and known is not None:
            said = Turn(item_id)
            said.take_content(item.get("content"))
            return known if known in self.given and self.given[known].startswith(said.words) else None
        if turn is None:
            first = next(iter(expected), None)
            if first is None or not item_id or (role and role != first.role):
                return None
            turn, self._renames = first, True
        self.given[turn] = expected.pop(turn)
        items[item_id] = turn
        turn.first_id, turn.item_id = turn.first_id or turn.item_id, item_id
        return turn
