"""Tools of MCP servers: passed through, approved by a function or by a person, and followed to the answer."""

import threading

import pytest
from dialogue import serve

from rtnb.errors import InputError
from rtnb.opening import connect
from rtnb.session import following
from rtnb.session.reply import Approval

SERVER = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example/sse", "require_approval": "always"}
REQUEST = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "files", "name": "read"}
REQUEST |= {"arguments": '{"path":"notes.txt"}'}
CALL = {"id": "mcp_1", "type": "mcp_call", "server_label": "files", "name": "read"}
CALL |= {"arguments": '{"path":"notes.txt"}', "output": "Buy milk.", "approval_request_id": "mcpr_1"}


def respond(talk, number, output, *, asked=True):
    if asked:
        talk.expect("response.create")
    response = {"id": f"resp_{number}", "status": "in_progress", "conversation_id": "c", "output": []}
    talk.say({"type": "response.created", "response": response})
    for index, item in enumerate(output):
        where = {"response_id": response["id"], "output_index": index}
        talk.say({"type": "response.output_item.added", **where, "item": item})
        talk.say({"type": "conversation.item.added", "item": item, "previous_item_id": None})
        talk.say({"type": "response.output_item.done", **where, "item": item})
    talk.say({"type": "response.done", "response": {**response, "status": "completed", "output": output}})


def needs_approval(talk, said):
    assert talk.open()["tools"] == [SERVER]
    listed = {"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "files", "tools": [{"name": "read"}]}
    talk.say({"type": "mcp_list_tools.in_progress", "item_id": "mcpl_1"})
    talk.say({"type": "conversation.item.added", "item": listed, "previous_item_id": None})
    talk.say({"type": "mcp_list_tools.completed", "item_id": "mcpl_1"})
    talk.take_message()
    respond(talk, 1, [REQUEST])
    answer = talk.expect("conversation.item.create")["item"]
    said.append(answer)
    talk.say({"type": "conversation.item.added", "item": {**answer, "id": "mcpa_1"}, "previous_item_id": None})
    if answer["approve"]:
        respond(talk, 2, [CALL], asked=False)  # the server goes on by itself
    talk.answer("You are to buy milk." if answer["approve"] else "Then not.", id="resp_3", item_id="a3", expect=False)


def test_a_function_that_approves_lets_the_turn_go_on_by_itself():
    said, asked = [], []

    def approve(approval):
        asked.append((str(approval), threading.current_thread().name))
        return True

    with (
        serve(lambda talk: needs_approval(talk, said)) as url,
        connect(url=url, tools=[SERVER], approve=approve) as chat,
    ):
        reply = chat.ask("What is in my notes?").wait(10)
    assert said == [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}]
    assert asked[0][0] == 'files.read({"path":"notes.txt"})'
    assert asked[0][1] != "rtnb-io"  # it may wait for a person
    assert reply.text == "You are to buy milk."
    assert len(reply.responses) == 3
    assert [turn_.words for turn_ in chat.turns if turn_.type == "mcp_call"] == [
        'files.read({"path":"notes.txt"}) → Buy milk.'
    ]


@pytest.mark.parametrize(("yes", "text"), [(True, "You are to buy milk."), (False, "Then not.")])
def test_without_one_the_reply_asks_and_the_person_answers(yes, text):
    said = []
    with serve(lambda talk: needs_approval(talk, said)) as url, connect(url=url, tools=[SERVER]) as chat:
        reply = chat.ask("What is in my notes?").wait(10)
        assert reply.approvals == [Approval("mcpr_1", "files", "read", '{"path":"notes.txt"}')]
        assert "chat.approve(reply)" in reply.warnings[0]
        assert chat.approve(reply, yes, reason="" if yes else "private").wait(10).text == text
    assert said[0]["approve"] is yes
    assert said[0].get("reason") == (None if yes else "private")


def test_an_async_function_may_refuse():
    said = []

    async def approve(approval):
        return False

    with (
        serve(lambda talk: needs_approval(talk, said)) as url,
        connect(url=url, tools=[SERVER], approve=approve) as chat,
    ):
        assert chat.ask("What is in my notes?").wait(10).text == "Then not."


def test_a_call_that_needs_no_approval_is_followed_to_the_answer():
    def script(talk):
        talk.open()
        talk.take_message()
        respond(talk, 1, [CALL])
        talk.answer("Buy milk, it says.", id="resp_2", item_id="a2", expect=False)

    with serve(script) as url, connect(url=url, tools=[SERVER]) as chat:
        assert chat.ask("Notes?").wait(10).text == "Buy milk, it says."


def test_where_the_server_does_not_go_on_it_is_asked_to(monkeypatch):
    monkeypatch.setattr(following, "_GOES_ON_SECONDS", 0.2)

    def script(talk):
        talk.open()
        talk.take_message()
        respond(talk, 1, [REQUEST])
        answer = talk.expect("conversation.item.create")["item"]
        talk.say({"type": "conversation.item.added", "item": {**answer, "id": "mcpa_1"}})
        talk.answer("Asked again.", id="resp_2", item_id="a2")

    with serve(script) as url, connect(url=url, tools=[SERVER]) as chat:
        reply = chat.ask("Notes?").wait(10)
        assert chat.approve(reply).wait(10).text == "Asked again."


def test_nothing_to_approve_is_told():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hi.")

    with serve(script) as url, connect(url=url) as chat, pytest.raises(InputError, match="asks for no approval"):
        chat.approve(chat.ask("Hi").wait(10))
