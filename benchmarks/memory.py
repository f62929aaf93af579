"""The memory of a benchmark and its TFF worker together."""

import contextlib
import threading

import psutil

MEGABYTE = 1e6

_SAMPLE_SECONDS = 0.05


class PeakMemory(threading.Thread):
    """Samples the resident memory of this process and its children.

    Attributes:
      peak: The largest sum of all of them, in bytes.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Samples until `stop`."""
        program = psutil.Process()
        while not self._over.wait(_SAMPLE_SECONDS):
            total = 0
            for process in (program, *program.children(recursive=True)):
                # The worker may end meanwhile.
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            self.peak = max(self.peak, total)

    def stop(self) -> int:
        """Ends the sampling; returns `peak`."""
        self._over.set()
        self.join()
        return self.peak
