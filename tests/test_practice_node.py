"""OpenAI's JavaScript clients do not notice the difference either: npm's `openai` and `@openai/agents`.

`npm ci --prefix tests/node` installs them. Without Node or the packages the tests are skipped and say so. A script
plays its scenes side by side in one process; each scene is a test here.
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
from practice_harness import SPEECH

pytest.importorskip("openai", reason="the openai SDK, whose types the events are checked with, is not installed")

from practice_scenes import UNHURRIED, check_event, engines

from rtnb.server import server

HERE = Path(__file__).parent / "node"
BOTH = {"text", "voice_activity", "push_to_talk", "tool", "interruption", "side_response"}
AGENTS = BOTH | {"two_tools", "spoken_interruption", "handoff", "guardrail"}


@pytest.fixture(scope="module")
def practices() -> Iterator[list[server.Practice]]:
    """One that answers fast and one that can be interrupted."""
    pytest.importorskip("cryptography", reason="cryptography makes the certificate that npm's openai asks for")
    with (
        server.start(engines=engines(), pace=20, tls=True) as fast,  # npm's openai refuses plain ws:
        server.start(engines=engines(), pace=UNHURRIED, tls=True) as unhurried,
    ):
        yield [fast, unhurried]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside their packages: Node looks for packages where a script lies."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    modules = HERE / "node_modules"
    if not (modules / "openai").is_dir() or not (modules / "@openai" / "agents").is_dir():
        pytest.skip("the npm packages openai and @openai/agents are not installed: npm ci --prefix tests/node")
    folder = tmp_path_factory.mktemp("node")
    for script in (*HERE.glob("*.mjs"), HERE / "package.json"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)
    (folder / "speech.pcm").write_bytes(SPEECH)
    return folder


def run(project: Path, script: str, urls: list[str], practices: list[server.Practice]) -> dict[str, dict[str, Any]]:
    """Run a script; gives what each scene told."""
    (project / "certificate.pem").write_text("\n".join(practice.certificate for practice in practices))
    done = subprocess.run(
        ["node", script, *urls, "speech.pcm"],
        cwd=project,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(project / "certificate.pem")},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return {told["scene"]: told for told in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def openai_scenes(practices: list[server.Practice], project: Path) -> dict[str, dict[str, Any]]:
    return run(project, "openai_client.mjs", [practice.base_url for practice in practices], practices)


@pytest.fixture(scope="module")
def agents_scenes(practices: list[server.Practice], project: Path) -> dict[str, dict[str, Any]]:
    return run(project, "agents_client.mjs", [practice.url for practice in practices], practices)


def check_scene(told: dict[str, Any]) -> None:
    assert "error" not in told, told["error"]
    assert told["events"]
    for event in told["events"]:
        check_event(event)


@pytest.mark.parametrize("scene", sorted(BOTH))
def test_npm_openai(openai_scenes: dict[str, dict[str, Any]], scene: str) -> None:
    check_scene(openai_scenes[scene])


@pytest.mark.parametrize("scene", sorted(AGENTS))
def test_npm_openai_agents(agents_scenes: dict[str, dict[str, Any]], scene: str) -> None:
    check_scene(agents_scenes[scene])


def test_every_scene_is_looked_at(
    openai_scenes: dict[str, dict[str, Any]], agents_scenes: dict[str, dict[str, Any]]
) -> None:
    assert (set(openai_scenes), set(agents_scenes)) == (BOTH, AGENTS)
