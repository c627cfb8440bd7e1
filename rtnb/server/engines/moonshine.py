"""Moonshine's tiny English model, run by ONNX Runtime: words, and how likely each of them is.

The library that brings the model reports no probabilities, and its own build of ONNX Runtime takes about three times
as long.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_RATE_HZ = 16_000
_BEGIN, _END = 1, 2  # tokens
_TOKENS_PER_SECOND = 6.5  # more is no speech but a loop (the model's authors)
_HEADS, _HEAD_SIZE = 8, 36


class Word(NamedTuple):
    """Recognised word.

    Attributes:
        text: It, with the marks that stand at it.
        probability: Geometric mean of the probabilities of its tokens, 0 to 1; 1 where an engine reports none.
    """

    text: str
    probability: float = 1.0


class Moonshine:
    """Loaded model. Safe to use from several threads at once; each recognition takes one core.

    Args:
        folder: Where the model lies: `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.
    """

    def __init__(self, folder: Path) -> None:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        # Threads of one recognition wait for each other by turning: half its time on two cores, more on busy ones.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._encoder, self._decoder = (
            runtime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("encoder_model.ort", "decoder_model_merged.ort")
        )
        self._vocabulary = [*_tokens((folder / "tokenizer.bin").read_bytes())]
        self._states = [output.name.replace("present", "past_key_values") for output in self._decoder.get_outputs()[1:]]

    def recognise(self, samples: np.ndarray) -> list[Word]:
        """Recognise one stretch of English speech; the same samples always return the same words.

        Args:
            samples: float32, -1 to 1, at 16 kHz, shape `(n,)`.
        """
        words: list[tuple[bytes, list[float]]] = []
        for token, logprob in self._decode(samples.astype(np.float32)[None]):
            piece = self._vocabulary[token].replace("▁".encode(), b" ")
            before, logprobs = (b"", []) if piece.startswith(b" ") or not words else words.pop()
            words.append((before + piece, [*logprobs, logprob]))
        return [Word(text.decode(errors="ignore").strip(), float(np.exp(np.mean(each)))) for text, each in words]

    def _decode(self, audio: np.ndarray) -> Iterator[tuple[int, float]]:
        """Take the likeliest token again and again: each with the logarithm of its probability."""
        feeds = {"input_values": audio, "attention_mask": np.ones(audio.shape, np.int64)}
        (hidden,) = self._encoder.run(None, feeds)
        inputs: dict[str, Any] = dict.fromkeys(self._states, np.zeros((1, _HEADS, 0, _HEAD_SIZE), np.float32))
        inputs |= {"encoder_hidden_states": hidden, "encoder_attention_mask": feeds["attention_mask"]}
        token = _BEGIN
        for step in range(int(audio.size / _RATE_HZ * _TOKENS_PER_SECOND)):
            inputs |= {"input_ids": np.array([[token]]), "use_cache_branch": np.array([step > 0])}
            logits, *states = self._decoder.run(None, inputs)
            scores = logits[0, -1]
            if (token := int(scores.argmax())) == _END:
                return
            yield token, -float(np.log(np.exp(scores - scores[token]).sum()))
            # What the encoder found stays as it was in the first step.
            states_now = zip(self._states, states, strict=True)
            inputs |= {name: state for name, state in states_now if step == 0 or ".decoder." in name}


def _tokens(packed: bytes) -> Iterator[bytes]:
    """Read the tokenizer's file: each token after its length, in one byte or (from 128 on) in two."""
    at = 0
    while at < len(packed):
        size = packed[at]
        at += 1
        if size >= 128:
            size, at = size - 128 + 128 * packed[at], at + 1
        yield packed[at : at + size]
        at += size
