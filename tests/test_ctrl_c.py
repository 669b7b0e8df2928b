"""Ctrl-C sets a flag; a second one, later, stops at once; afterwards everything is as it was."""

import signal
import threading
import time

import pytest

from minibert.training.ctrl_c import CtrlC


def press():
    signal.raise_signal(signal.SIGINT)


def test_it_only_sets_a_flag():
    with CtrlC() as ctrl_c:
        assert not ctrl_c.was_pressed
        press()
        assert ctrl_c.was_pressed


def test_pressed_again_it_stops_at_once(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with CtrlC():
        press()
        now += 0.5
        press()  # a launcher that passes on the same Ctrl-C
        now += 1
        with pytest.raises(KeyboardInterrupt):
            press()


def test_afterwards_it_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), CtrlC():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        press()


def test_other_threads_cannot_listen_but_may_train():
    pressed = []

    def work():
        with CtrlC() as ctrl_c:
            pressed.append(ctrl_c.was_pressed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert pressed == [False]
