"""OpenAI's JavaScript clients do not notice the difference either: npm's `openai` and `@openai/agents`.

`npm ci --prefix tests/node` installs them. Without Node or the packages the tests are skipped and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from practice_shapes import check
from practice_theatre import MINI, SPEECH
from test_practice_clients import engines

from rtnb.practice import server

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    pytest.importorskip("cryptography", reason="cryptography makes the certificate that npm's openai asks for")
    with server.start(engines=engines(), pace=4, tls=True) as running:  # npm's openai refuses plain ws:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The scripts beside their packages: Node looks for packages where a script lies."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    modules = HERE / "node_modules"
    if not (modules / "openai").is_dir() or not (modules / "@openai" / "agents").is_dir():
        pytest.skip("the npm packages openai and @openai/agents are not installed: npm ci --prefix tests/node")
    for script in (*HERE.glob("*.mjs"), HERE / "package.json"):
        shutil.copy(script, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)
    (tmp_path / "speech.pcm").write_bytes(SPEECH)
    return tmp_path


def run(project: Path, script: str, url: str, certificate: str) -> dict[str, list[dict[str, Any]]]:
    """Run a script; gives each scene's events, each of which has its recorded shape."""
    (project / "certificate.pem").write_text(certificate)
    done = subprocess.run(
        ["node", script, url, "speech.pcm"],
        cwd=project,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(project / "certificate.pem")},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    scenes = {told["scene"]: told["events"] for told in map(json.loads, done.stdout.splitlines())}
    for events in scenes.values():
        assert events
        for event in events:
            check(event, MINI)
    return scenes


def test_npm_openai(practice: server.Practice, project: Path) -> None:
    scenes = run(project, "openai_client.mjs", practice.base_url, practice.certificate)
    assert set(scenes) == {"text", "voice_activity", "push_to_talk", "tool", "interruption", "side_response"}


def test_npm_openai_agents(practice: server.Practice, project: Path) -> None:
    (events,) = run(project, "agents_client.mjs", practice.url, practice.certificate).values()
    kinds = {event["type"] for event in events}
    assert {"response.function_call_arguments.done", "conversation.item.truncated", "rate_limits.updated"} <= kinds
