"""Questions whether an MCP tool may be called, as the page asks them."""

import asyncio

from rtnb.errors import mask_secrets
from rtnb.session.reply import Approval
from rtnb.ui.shared.kernel_link import KernelLink


class Approvals:
    """Questions that wait for the user; lives on the I/O thread.

    Args:
        link: The link to the pages.
    """

    def __init__(self, link: KernelLink) -> None:
        self._link = link
        self._waiting: dict[str, tuple[Approval, asyncio.Future[bool]]] = {}

    async def ask(self, approval: Approval) -> bool:
        """Show the question and wait for the answer; the end of the call ends the wait."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[approval.id] = approval, answer
        self.tell()
        try:
            return await answer
        finally:
            del self._waiting[approval.id]
            self.tell()

    def answer(self, approval_id: str, *, yes: bool) -> None:
        """Take the user's answer; nothing happens where the question is answered already."""
        if approval_id in self._waiting and not (answer := self._waiting[approval_id][1]).done():
            answer.set_result(yes)

    def tell(self) -> None:
        """Send the pages all questions that wait."""
        waiting = [{"id": one.id, "text": mask_secrets(str(one))} for one, _ in self._waiting.values()]
        self._link.tell("approvals", waiting=waiting)
