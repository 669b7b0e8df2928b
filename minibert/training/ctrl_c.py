"""Ctrl-C in a run: a wish to stop that is granted between two steps, where everything can be saved."""

import signal
import threading
import time
from types import FrameType
from typing import Self


class CtrlC:
    """While this context is open, Ctrl-C only sets `was_pressed`; pressed again later, it stops the program at once.

    Again means a second later: the launcher of several processes passes on what the terminal has already told them.
    """

    AGAIN_SECONDS = 1.0

    def __init__(self) -> None:
        self.was_pressed = False
        self._pressed_at = 0.0

    def __enter__(self) -> Self:
        # Only the main thread hears signals, and only it may say what they do.
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._usual = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._usual)

    def _press(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.was_pressed and now - self._pressed_at > self.AGAIN_SECONDS:
            raise KeyboardInterrupt
        if not self.was_pressed:
            self.was_pressed, self._pressed_at = True, now


def ignore_ctrl_c(worker: int) -> None:
    """For a process that makes batches: the terminal's Ctrl-C reaches it, too, but the run has a step to end first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
