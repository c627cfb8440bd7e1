"""Write a file so that it is there whole, or not at all."""

import secrets
from pathlib import Path

from rtnb.errors import InputError


def save_file(path: str | Path, content: str | bytes) -> Path:
    """Write a text (as UTF-8) or bytes to a file. Folders on the way are made.

    Returns:
        The path written.

    Raises:
        InputError: If the place cannot be written to.
    """
    target = Path(path).expanduser()
    # Written beside and moved into place, so that a full disk never leaves half a file under its name.
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content.encode() if isinstance(content, str) else content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"The file {target} cannot be written: {error.strerror}. Choose another place.") from error
    return target
