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
    data = content.encode() if isinstance(content, str) else content
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = target.resolve()  # a link stays a link
        if place.exists() and not place.is_file():
            place.write_bytes(data)  # a device or a pipe, which nothing may replace
            return target
        # Written beside and moved into place, so that a full disk never leaves half a file under its name.
        part = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(data)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"The file {target} cannot be written: {error.strerror}. Choose another place.") from error
    return target
