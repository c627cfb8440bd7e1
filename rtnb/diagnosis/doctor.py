"""Run all checks before class and report what is wrong here, why, and what to do about it.

Each check is a function that takes its surroundings as arguments and returns findings; `doctor()` collects the
surroundings and runs the checks, each with a time limit. Nothing is changed, nothing is paid for: the check of the
model opens a session and closes it without a turn.
"""

import asyncio
import contextlib
import platform
import sys
import time
from datetime import date

from rtnb import keys, models, money
from rtnb.diagnosis.access import check_access, check_facts, check_key, check_price, check_shutdown, open_session
from rtnb.diagnosis.frontend import check_frontend, check_sound, detected
from rtnb.diagnosis.network import check_network
from rtnb.diagnosis.packages import WATCHED, check_loop, check_packages, check_python, versions_of
from rtnb.diagnosis.report import Finding, Report
from rtnb.texts.arguments import checks_call
from rtnb.transport import endpoint
from rtnb.transport.route import proxies_for, target_of


@checks_call
def doctor(
    *,
    model: str | None = None,
    url: str | None = None,
    key: str | keys.Key | None = None,
    talk: money.Estimate | None = None,
    learners: int = 1,
    timeout: float = 4.0,
) -> Report:
    """Check whether things will work here, before they have to.

    It looks at Python and the packages, the front end, the key, the network, the model and the price, and asks the
    browser for a microphone where the result is shown. With no network it says so within a few seconds.

    Args:
        model: The model you are going to use. None means the default one.
        url: Another server than OpenAI's.
        key: The key. None means look for it as `find_key` does.
        talk: What is planned, as `rtnb.estimate` returns it. None means a talk of ten minutes.
        learners: How many people will hold that talk.
        timeout: Seconds each step of the network may take.

    Returns:
        The findings; shown in a notebook as a table, `.line` is one line to send to the teacher.

    Raises:
        InputError: `url` is not an address.

    Examples:
        >>> with rtnb.practice() as server:
        ...     report = rtnb.doctor(url=server.url)
        >>> report["python"].state
        'ok'
    """
    key = keys.hold(key)
    begun = time.monotonic()
    name, frontend, base, address = model or models.DEFAULT, detected(), endpoint.base(), []
    if not url and base != endpoint.OPENAI:
        url = endpoint.below(base)
        cause = f"{endpoint.BASE_VARIABLE} leads there, in OpenAI's place."
        address = [Finding("address", "note", target_of(url).host, cause, "Unset it to reach OpenAI.")]
    target, kind = target_of(url), models.provider_of(url)
    found, key_findings = check_key(lambda: keys.find_key(key, provider=kind.name if kind.finds_key else None))
    if found is None and not kind.needs_key:
        key_findings = [Finding("key", "ok", f"none, and {kind.title} needs none")]
    network = check_network(target, proxies=proxies_for(target), timeout=timeout)
    if any(finding.state == "error" for finding in network):
        access = [Finding("model", "unknown", f"{name} not tried: the server is out of reach")]
    elif found is None and kind.needs_key:
        access = [Finding("model", "unknown", f"{name} not tried: there is no key")]
    else:
        access = check_access(lambda: open_session(name, url, found, timeout * 2), name, kind)
    price = [Finding("price", "note", f"none that is known here: {kind.title}")]
    if kind.needs_key or talk is not None:
        price = check_price(talk or money.estimate(seconds_in=300, seconds_out=300, turns=20, model=name), learners)
    here = check_python(sys.version_info[:3], platform.system(), platform.machine())
    here += check_packages(versions_of(WATCHED), sys.version_info[:2])
    with contextlib.suppress(RuntimeError):  # where none runs
        here += check_loop(asyncio.get_running_loop())
    here += check_frontend(frontend, versions_of(["ipykernel", "ipywidgets", "jupyterlab_widgets"]))
    dated = [*check_shutdown(name, date.today()), *price, *check_facts(date.today())]
    there = [*key_findings, *address, *network, *access, *dated]
    return Report((*here, *there, *check_sound(frontend)), time.monotonic() - begun)
