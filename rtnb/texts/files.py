"""Write a file so that it is there whole, or not at all."""

import contextlib
import errno
import secrets
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from rtnb.errors import InputError, RtnbError

# A single mounted file, or a file of ours in a folder that is not: nothing can be put beside it, but it can be written.
_NOT_BESIDE = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV)


# Windows refuses to replace a file that is being replaced.
_replacing = threading.Lock()


@contextlib.contextmanager
def to_be_written(path: str | Path, remedy: str = "Choose another place.") -> Iterator[Path]:
    """Yield the place that a path means; whatever goes wrong with it inside is raised in words, the remedy last.

    Raises:
        InputError: If the place cannot be written to.
    """
    try:
        yield Path(path).expanduser()
    except RtnbError:
        raise
    # A path may hold a zero byte, name an unknown user's home, or be no path; before Python 3.13 a loop of links is a
    # RuntimeError.
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        problem = getattr(error, "strerror", None) or error
        sentence = f"The file {path} cannot be written: {problem}. {remedy}"
        raise InputError(sentence, path=str(path), problem=str(problem)) from None


def save_file(path: str | Path, content: str | bytes) -> Path:
    """Write a text (as UTF-8) or bytes to a file. Folders on the way are made.

    Returns:
        The path written.

    Raises:
        InputError: If the place cannot be written to.
    """
    # Half a surrogate pair, which UTF-8 does not have, is written as its number.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with to_be_written(path) as target:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = target.resolve()  # a link stays a link
        if place.exists() and not place.is_file():
            place.write_bytes(data)  # a device or a pipe, which nothing may replace
            return target
        # Written beside and moved into place, so that a full disk never leaves half a file under its name.
        part = place.with_name(f".{secrets.token_hex(4)}.part")
        with _replacing:
            try:
                part.write_bytes(data)
                if place.exists():
                    part.chmod(stat.S_IMODE(place.stat().st_mode))  # what was private stays so
                part.replace(place)
            except OSError as error:
                if error.errno not in _NOT_BESIDE or not place.exists():
                    raise
                place.write_bytes(data)
            finally:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
    return target
