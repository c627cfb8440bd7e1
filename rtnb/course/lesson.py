"""Record the lesson that learners without a key hear: where there is a key, a real voice."""

from importlib.resources import files
from pathlib import Path

from rtnb.asking import connect
from rtnb.audio import samples

PLACE = Path(str(files("rtnb.audio.shipped")))


def record(folder: Path = PLACE) -> Path:
    """Hold the lesson with whoever answers, and keep it in place of the one that is there.

    Args:
        folder: Where lessons are kept.

    Returns:
        Its file, named after who answered: `lesson-openai.rtnb` with a key of OpenAI's, `lesson-practice.rtnb` without.

    Raises:
        RtnbError: If an answer fails; the lesson that is there stays.
    """
    clips = samples()
    with connect(show=False) as session:
        for parts in ([clips["question"]], [clips["order"], "Repeat what was ordered."], ["Count to three."]):
            session.ask(*parts).wait()
    made = session.save(folder / f"lesson-{session.source}.rtnb", sound="opus")
    for other in {*folder.glob("lesson-*.rtnb")} - {made}:
        other.unlink()
    return made
