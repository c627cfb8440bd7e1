"""Measure what the model will hear of a clip, and say in plain sentences what may go wrong with it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rtnb import html
from rtnb.audio.resample import to_float
from rtnb.audio.stream import Sampled
from rtnb.texts.language import say, translate

_FRAME_SECONDS = 0.02
# Below this no recogniser takes it for speech; a quiet room is at about -60 dBFS, speech at -35 to -15.
_SILENT_DB = -55.0


@dataclass(frozen=True)
class Check:
    """Measurements of a clip, and what they mean.

    Attributes:
        clip: The clip.
        peak_db: The loudest sample in dB below full scale, 0.0 at most; -inf for digital silence.
        speech_db: The level of its louder parts (95th percentile of 20 ms frames, RMS) in dB below full scale.
        clipped: The part of the samples that stand in a flat top at the clip's own peak, 0.0–1.0.
        silent_seconds: How much of it is silence.
        pitch_hz: The median pitch of its voiced parts. None where there are too few of them.
        bandwidth_hz: The frequency below which lies practically all of its energy.
        problems: What may spoil the answer, each a sentence with what to do. Empty where all is well.

    Examples:
        >>> rtnb.samples()["question"].check().ok
        True
        >>> rtnb.Clip.silence(2.0).check().problems
        ('It holds only silence. ...',)
    """

    clip: Sampled
    peak_db: float
    speech_db: float
    clipped: float
    silent_seconds: float
    pitch_hz: float | None
    bandwidth_hz: float
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True where nothing was found that may spoil the answer."""
        return not self.problems

    def facts(self) -> list[tuple[str, str]]:
        """Return what was measured, as pairs of a name and a value in words."""
        clip = self.clip
        level = f"{_db(self.speech_db)} (loudest sample {_db(self.peak_db)})" if self.peak_db > -np.inf else "silence"
        recorded = f" (recorded at {clip.recorded_hz} Hz)" if clip.recorded_hz not in (None, clip.rate_hz) else ""
        facts = [
            ("length", f"{clip.seconds:.1f} s, of it {self.silent_seconds:.1f} s silent"),
            ("level", level),
            ("clipped", f"{self.clipped:.2%} of the samples"),
            ("rate", f"{clip.rate_hz} Hz" + translate(recorded)),
            ("frequencies", f"up to about {self.bandwidth_hz / 1000:.1f} kHz"),
            *([("pitch of the voice", say("about {hz} Hz", hz=f"{self.pitch_hz:.0f}"))] if self.pitch_hz else []),
        ]
        return [(translate(name), translate(value)) for name, value in facts]

    def __repr__(self) -> str:
        lines = [f"{self.clip!r}: " + translate("sounds fine" if self.ok else "look at this before you send it")]
        lines += [f"  {name}: {value}" for name, value in self.facts()]
        return "\n".join(lines + [f"  ! {problem}" for problem in self.problems])

    def _repr_html_(self) -> str:
        clip = self.clip
        wave = html.waveform(clip.peaks(160), translate(f"Waveform of {clip.name}, {clip.seconds:.1f} s"))
        notices = "".join(html.notice(problem, "warning") for problem in self.problems)
        notices = notices or html.notice("Sounds fine: the model will hear it well.", "ok")
        return html.card(f"What the model will hear of {clip.name}", self.facts(), body=html.Safe(wave + notices))


def _db(value: float) -> str:
    return translate("silence") if value == -np.inf else f"{value:.0f} dB"


def check(clip: Sampled) -> Check:
    """Measure a clip. An hour is judged by its first ten minutes.

    Args:
        clip: Any clip, an empty one too.
    """
    samples = to_float(clip.array[: clip.rate_hz * 600])
    size = max(int(clip.rate_hz * _FRAME_SECONDS), 1)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    with np.errstate(divide="ignore"):
        levels = 10 * np.log10(np.square(frames).mean(axis=1)) if len(frames) else np.array([-np.inf])
        peak = float(np.abs(samples).max()) if len(samples) else 0.0
        peak_db = float(20 * np.log10(peak))
    speech_db = float(np.sort(levels)[int(len(levels) * 0.95) - (len(levels) > 1)])
    silent = float((levels < max(_SILENT_DB, speech_db - 40)).mean()) if len(samples) else 1.0
    clipped, bandwidth_hz = _flat_tops(samples, peak), _bandwidth(samples, clip.rate_hz)
    pitch_hz = _pitch(samples, clip.rate_hz, levels > speech_db - 20, size) if speech_db > _SILENT_DB else None
    measured = Check(clip, peak_db, speech_db, clipped, silent * clip.seconds, pitch_hz, bandwidth_hz, problems=())
    return replace(measured, problems=tuple(map(translate, _problems(measured, samples))))


def _problems(found: Check, samples: npt.NDArray[np.float32]) -> list[str]:
    clip = found.clip
    if not len(clip.array):
        return ["It is empty. Record or choose another clip."]
    if found.speech_db < _SILENT_DB:
        what = "only silence" if found.peak_db == -np.inf else "next to nothing"
        return [f"It holds {what}. Was the microphone muted, or another one chosen? Record it again."]
    seconds, noise = clip.seconds, _is_noise(samples)
    pitch_hz = 100.0 if noise else found.pitch_hz or 100.0
    rate = f"({pitch_hz:.0f} Hz): {clip.rate_hz} Hz is perhaps not the right rate. It sounds as if recorded at a"
    short, too_long, silent = 0.1 <= seconds < 0.5, seconds > 1500, found.silent_seconds > max(5, 0.7 * seconds)
    clipped, quiet, shifted = found.clipped > 0.001, found.speech_db < -42, abs(float(samples.mean())) > 0.05
    holds = {
        "It is shorter than a tenth of a second, and the API refuses to commit that. Give more sound.": seconds < 0.1,
        "It is very short; a model hears words badly in less than half a second. Give more sound.": short,
        f"It lasts {seconds / 60:.0f} minutes, and every minute costs 600 tokens of a context that is limited. "
        "Cut it: clip[0:600].": too_long,
        "It is clipped: the loudest parts are cut flat. Record again with less gain or further away.": clipped,
        "It is very quiet. Record closer to the microphone or with more gain.": quiet,
        "Its samples do not swing around zero. They may have been read in another format than recorded: check "
        "it.": shifted,
        "It sounds like noise from end to end. If it came from bare samples, check their format: 16 bit, "
        "little-endian, how many channels.": noise,
        f"The voice is very high {rate} lower one, or as two channels read as one: check it.": pitch_hz > 330,
        f"The voice is very low {rate} higher one: check it.": pitch_hz < 68,
        "Most of it is silence, and silence costs as much as speech. Cut it: clip[1.5:3.0] is seconds.": silent,
    }
    return [sentence for sentence, is_so in holds.items() if is_so]


def _flat_tops(samples: npt.NDArray[np.float32], peak: float) -> float:
    """Return the part of the samples in runs of three or more at the peak; a sound wave never stands still there."""
    if peak < 0.05 or len(samples) < 3:
        return 0.0
    top = np.abs(samples) >= peak * 0.999
    runs = top[:-2] & top[1:-1] & top[2:]
    return float((np.pad(runs, (0, 2)) | np.pad(runs, 1) | np.pad(runs, (2, 0))).mean())


def _spectrum(samples: npt.NDArray[np.float32], size: int = 2048) -> npt.NDArray[np.float64]:
    """Return the mean power spectrum, of at most 2,000 frames spread over the whole."""
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    starts = np.linspace(0, len(samples) - size, min(2000, max(1, len(samples) // size))).astype(int)
    window = np.hanning(size)
    power = sum(np.abs(np.fft.rfft(samples[start : start + size] * window)) ** 2 for start in starts)
    return np.asarray(power) / len(starts)


def _bandwidth(samples: npt.NDArray[np.float32], rate_hz: int) -> float:
    power = _spectrum(samples)
    if not (whole := power.sum()):
        return 0.0
    # Where the energy above is a hundred-thousandth of all: past the last overtone, before the recorder's own hiss.
    above = np.flatnonzero(np.cumsum(power[::-1])[::-1] > whole * 1e-5)
    return float(above[-1] / (len(power) - 1) * rate_hz / 2)


def _is_noise(samples: npt.NDArray[np.float32]) -> bool:
    """Return whether it is flat both over frequency and over time, as misread samples are and speech never is."""
    power = _spectrum(samples, 512)[1:]
    parts = samples[: len(samples) // 2048 * 2048].reshape(-1, 2048)
    if len(parts) < 4 or not power.all():
        return False
    flatness = float(np.exp(np.log(power).mean()) / power.mean())
    loudness = np.sqrt(np.square(parts).mean(axis=1))
    return flatness > 0.5 and float(loudness.std()) < 0.35 * float(loudness.mean())


def _pitch(samples: npt.NDArray[np.float32], rate_hz: int, loud: npt.NDArray[np.bool_], size: int) -> float | None:
    """Return the median pitch of the voiced frames, by autocorrelation between 40 and 600 Hz."""
    window = int(rate_hz * 0.06)
    starts = np.flatnonzero(loud) * size
    starts = starts[starts + window <= len(samples)]
    if len(starts) > 400:
        starts = starts[np.linspace(0, len(starts) - 1, 400).astype(int)]
    shortest, longest = int(rate_hz / 600), int(rate_hz / 40)
    if longest >= window:
        return None
    found, shape = [], np.hanning(window)
    # The window makes late lags look weaker than they are; that is divided out, so that the true period wins.
    fading = _likeness(shape)[:longest]
    for start in starts:
        frame = samples[start : start + window] * shape
        if not frame.any():
            continue
        lags = (_likeness(frame)[:longest] / fading)[shortest:]
        inner, best = lags[1:-1], float(lags.max())
        # The first lag nearly as good as the best one: later ones are its multiples, an octave too low.
        tops = np.flatnonzero((inner >= lags[:-2]) & (inner >= lags[2:]) & (inner > 0.85 * best)) + 1
        if best >= 0.6 and len(tops):
            found.append(rate_hz / (shortest + int(tops[0])))
    return float(np.median(found)) if len(found) >= 5 else None


def _likeness(frame: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how much a frame is like itself, from no lag (1.0) to the longest."""
    likeness = np.fft.irfft(np.abs(np.fft.rfft(frame, 2 * len(frame))) ** 2)[: len(frame)]
    return likeness / likeness[0]
