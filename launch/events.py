"""TensorBoard's events, which a run can do without."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from absl import logging


class Events:
    """Writes events for as long as that goes well, and warns where it does not."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Makes the folder."""
        self._folder = folder
        self._manager: Any = None
        self._open()

    async def release(self, value: Mapping[str, Any], key: int) -> None:
        """See `tff.program.TensorBoardReleaseManager`."""
        import tensorflow as tf

        if self._manager is None:
            return
        try:
            await self._manager.release(value, key)
        except (OSError, tf.errors.OpError) as error:
            self._give_up(error)

    def _open(self) -> None:
        import tensorflow as tf
        import tensorflow_federated as tff

        try:
            self._manager = tff.program.TensorBoardReleaseManager(self._folder)
        except (OSError, tf.errors.OpError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._manager = None
        reason = re.sub(r"{{.*?}}", "", str(error)).strip().splitlines()[0].rstrip(".")
        logging.warning("No more events in %s: %s.", self._folder, reason)
