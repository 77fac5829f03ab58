"""What a check is made of: steps that are timed, expectations, and waits that end."""

import contextlib
import time

PROBE_PAUSE_SECONDS = 0.05


class CheckFailed(Exception):
    """Something is not as it should be. The text says what."""


def expect(is_so, message):
    """Fails the check with `message` unless `is_so`."""
    if not is_so:
        raise CheckFailed(message)


@contextlib.contextmanager
def step(what):
    """Prints how long the block took. A check that fails in it says so in its text."""
    started = time.monotonic()
    try:
        yield
    except CheckFailed as error:
        raise CheckFailed(f"{what}: {error}") from None
    print(f"{time.monotonic() - started:6.2f} s  {what}", flush=True)


def wait_until(what, seconds_max, probe):
    """Asks `probe` until its answer is true, and returns that answer."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        time.sleep(PROBE_PAUSE_SECONDS)
    raise CheckFailed(f"not within {seconds_max} s: {what}")
