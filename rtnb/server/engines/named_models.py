"""Models that the user names for ASR and TTS, downloaded where they are not here; nothing else here downloads any."""

import contextlib
import importlib
import json
import os
import re
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from tqdm.auto import tqdm

from rtnb.errors import InputError
from rtnb.server.engines import asr, tts
from rtnb.texts.language import say


def use(recogniser: str | os.PathLike[str] | None, voices: str | os.PathLike[str] | None) -> None:
    """Recognise and speak with these models from now on, as the variables RTNB_WHISPER_MODEL and RTNB_VOICES do.

    A named model is downloaded once from Hugging Face's hub, or the one that the variable HF_ENDPOINT names, into
    `.cache/rtnb` of the user's home, unless it stands in the hub's own cache.

    Args:
        recogniser: The folder of a Whisper model for faster-whisper, or its name: `"small"`, or `"owner/name"` on the
            hub. None leaves what is there.
        voices: A folder with voices of Piper or Kokoro, or the name of one of Piper's, as in `"en_US-lessac-medium"`.

    Raises:
        InputError: There is no such model, or no package for it, or the hub cannot be reached.
    """
    for model, variable, engine in ((recogniser, "RTNB_WHISPER_MODEL", asr), (voices, "RTNB_VOICES", tts)):
        if model is not None:
            os.environ[variable] = _found(os.fspath(model))
            if not (engine.engine() or "").startswith(("faster-whisper", "piper", "kokoro")):
                del os.environ[variable]
                raise InputError(
                    f"The model {model} cannot be loaded. Check what is in its folder, and install what runs it: "
                    "faster-whisper, or for voices piper-tts or kokoro-onnx."
                )


def _found(model: str) -> str:
    """Return the folder of a model, or its name where that is enough to load it; download it if need be."""
    if Path(model).is_dir():
        return model
    repository, within, wanted = model if "/" in model else f"Systran/faster-whisper-{model}", "", "bin|json|txt"
    voice = re.fullmatch(r"((\w\w)_\w\w)-(\w+)-(\w+)", model)
    if voice:
        within = f"{voice[2]}/{voice[1]}/{voice[3]}/{voice[4]}"
        repository, wanted = "rhasspy/piper-voices", "onnx|json"
    with contextlib.suppress(Exception):  # the hub's own package is not installed, or its cache has no such model
        cached = importlib.import_module("huggingface_hub").snapshot_download(repository, local_files_only=True)
        weights = next(Path(cached, within).glob("*.onnx" if voice else "model.bin"))
        return str(weights.parent) if voice else repository  # which faster-whisper finds there by itself
    folder = Path.home() / ".cache/rtnb" / repository / within
    return str(folder if folder.is_dir() else _fetch(repository, within, rf".+\.({wanted})", folder))


def _fetch(repository: str, within: str, wanted: str, folder: Path) -> Path:
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    part = folder.with_name(f"{folder.name}.part")  # moved into place when it is whole
    try:
        with urlopen(f"{hub}/api/models/{repository}/tree/main/{within}", timeout=30) as answer:
            files = {one["path"]: one["size"] for one in json.load(answer) if re.fullmatch(wanted, one["path"])}
        size = f"{sum(files.values()) / 1e6:.1f} MB"
        print(say("Downloading {files} from {hub}: {size}.", files=", ".join(files), hub=hub, size=size))
        part.mkdir(parents=True, exist_ok=True)
        for path, length in files.items():
            target, url = part / Path(path).name, f"{hub}/{repository}/resolve/main/{path}"
            shown = tqdm.wrapattr(urlopen(url, timeout=30), "read", total=length, desc=target.name)
            with shown as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if target.stat().st_size != length:
                raise ValueError("it broke off")
        return part.rename(folder)
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"The model {repository} cannot be downloaded from {hub}: {error}. "
            "Check its name and the network, or give the folder of one that is here."
        ) from error
