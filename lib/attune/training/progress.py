"""Progress of a long training: loss, speed and time left, every few seconds."""

import time
from collections.abc import Callable


class Progress:
    """Says now and then how far training is; ``say`` takes a line."""

    def __init__(
        self, num_steps: int, say: Callable[[str], None], every_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._num_steps, self._say, self._every, self._clock = num_steps, say, every_seconds, clock
        self._began = self._said = clock()
        self._done = 0
        self._steps = self._rows = self._tokens = 0
        self._loss = 0.0

    def step(self, loss: float, rows: int, tokens: int) -> None:
        """Count one step of the global batch."""
        self._done += 1
        self._steps, self._rows, self._tokens = self._steps + 1, self._rows + rows, self._tokens + tokens
        self._loss += loss
        now = self._clock()
        if now - self._said < self._every:
            return
        seconds = now - self._said
        left = (now - self._began) / self._done * (self._num_steps - self._done)
        self._say(
            f"step {self._done} of {self._num_steps}: loss {self._loss / self._steps:.4f}, "
            f"{self._rows / seconds:.0f} examples/s, {self._tokens / seconds:.0f} tokens/s, {left:.0f} s left"
        )
        self._said, self._steps, self._rows, self._tokens, self._loss = now, 0, 0, 0, 0.0
