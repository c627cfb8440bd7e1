"""Run a notebook with no key, and tidy what came out."""

import asyncio
import json
import re
import sys
import tempfile
from typing import Any

# What a notebook must not carry from one run to the next.
SECRETS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL")
# By which a page finds the element of a widget, and the words that a player marks.
_KEYS = re.compile(r'(?<=class=")rtnb-place rtnb-[0-9a-f]{32} |(?<=data-words=")[0-9a-f]{32}')
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def _kernel(python: str, environment: dict[str, str]) -> Any:
    """Return a kernel manager for an interpreter, whatever kernels are installed."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class OneKernel(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="rtnb", language="python", env=environment)

    return AsyncKernelManager(kernel_name="rtnb", kernel_spec_manager=OneKernel())


# Run before and after the cells: every session is remembered, so that the sum of their costs can be printed.
BEFORE = """
from rtnb import Session as _Session
_made, _begin = [], _Session.__init__
def _remember(self, *given, **named):
    _begin(self, *given, **named)
    _made.append(self)
_Session.__init__ = _remember
"""
AFTER = """
import dataclasses, json
from rtnb import costs as _costs
_spent = {"usd": sum(each.cost.known_usd for each in _made)}
print(json.dumps(_spent | dataclasses.asdict(sum((each.usage for each in _made), _costs.Usage()))))
"""


def execute(notebook: Any, *, python: str | None = None, environment: dict[str, str] | None = None) -> dict[str, float]:
    """Run a notebook from top to bottom with no key, in an empty folder; its outputs are filled in.

    Args:
        notebook: A notebook of `nbformat`; changed in place.
        python: The interpreter whose kernel runs it. None: this one.
        environment: Variables to add to the kernel's.

    Returns:
        What the run would have cost at OpenAI: `usd` in US dollars, and the tokens as in `rtnb.costs.Usage`.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    count, after = len(notebook.cells), new_code_cell(AFTER)

    async def run() -> None:
        clean = dict.fromkeys(SECRETS, "") | (environment or {})
        with tempfile.TemporaryDirectory() as folder:
            kernel, resources = _kernel(python or sys.executable, clean), {"metadata": {"path": folder}}
            how = {"record_timing": False, "store_widget_state": False, "coalesce_streams": True}
            # A cell that takes three minutes is stuck.
            client = NotebookClient(notebook, km=kernel, timeout=180, resources=resources, **how)
            async with client.async_setup_kernel(cleanup_kc=True):  # not by itself, where the manager is ours
                for index in (count, *range(count), count + 1):
                    await client.async_execute_cell(notebook.cells[index], index)

    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs, cell.execution_count = [], None
    notebook.cells += [new_code_cell(BEFORE), after]  # nbclient runs only cells that are in the notebook
    try:
        asyncio.run(run())
    finally:
        del notebook.cells[count:]
    return json.loads(after.outputs[0]["text"])


def tidy(notebook: Any) -> Any:
    """Take out of a run notebook what differs from run to run or cannot be shown without its kernel.

    A cell that begins with a guess keeps no output, for its reader is to guess. Widgets die with their kernel: where an
    output also has HTML or text, that stays, without the key of the widget. A progress bar's text says how far it was
    when it was first drawn, so it goes.
    """
    notebook.metadata["language_info"] = {"name": "python"}
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        if cell.source.startswith("guess"):
            cell.outputs = []
        kept = []
        for output in cell.outputs:
            if output.get("output_type") == "execute_result":
                output["execution_count"] = count
            if "data" in output:
                widget = output["data"].pop(WIDGET_VIEW, None)
                text = output["data"].get("text/plain", "") if set(output["data"]) <= {"text/plain"} else "…"
                if not text or (widget and re.match(r" *\d+%\|", text)):
                    continue
                output.get("metadata", {}).pop(WIDGET_VIEW, None)
                if "text/html" in output["data"]:
                    output["data"]["text/html"] = _KEYS.sub("", output["data"]["text/html"])
            if output.get("output_type") == "stream":
                output["text"] = _last_lines(output["text"])
                if output["name"] == "stderr" and not output["text"].strip():
                    continue
            kept.append(output)
        cell.outputs = kept
    return notebook


def _last_lines(text: str) -> str:
    """Return what a terminal shows in the end: of a line that is overwritten after `\\r`, its last form."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(re.sub(r"/tmp/ipykernel_\d+/\d+\.py", "<cell>", line) for line in lines)
