"""Saves and restores train states; the only file that imports orbax."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jaxlib
import orbax.checkpoint as ocp
from jax.sharding import Sharding

from musicjax.errors import ConfigError
from musicjax.train_state import TrainState


@dataclasses.dataclass
class _LatestAndBest:
  """Keeps the newest checkpoint, to resume from, and the best one, to report.

  The train state is what knows the best step; Orbax's own ranking by metric would be a second
  opinion, and keeps the newest of equals where the state keeps the first.
  """

  best_step: int = 0

  def should_preserve(self, checkpoints: Sequence, *, context) -> list[bool]:
    del context
    newest = max(c.step for c in checkpoints)
    return [c.step in (newest, self.best_step) for c in checkpoints]


class Checkpoints:
  """The checkpoints of a workdir, written in the background.

  A reader leaves everything in place: the run it looks at may be writing.
  """

  def __init__(self, directory: Path, *, read_only: bool):
    self._policy = _LatestAndBest()
    self._manager = ocp.CheckpointManager(
      directory.absolute(),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=self._policy,
        read_only=read_only,
        cleanup_tmp_directories=not read_only,
        create=not read_only,
      ),
    )

  @property
  def latest_step(self) -> int | None:
    """The newest step saved, None where there is none."""
    return self._manager.latest_step()

  def save(self, state: TrainState, seconds: float) -> None:
    """Saves under the state's own step; does nothing where that is saved already.

    Args:
      state: of the run.
      seconds: of training so far, over all starts.
    """
    step = int(state.step)
    if step == self.latest_step:
      return
    best_step = int(state.progress.best_step)
    self._policy.best_step = best_step
    self._manager.save(
      step,
      args=ocp.args.StandardSave(state),
      custom_metadata={'best_step': best_step, 'seconds': seconds, 'topology': topology()},
    )

  def metadata(self, which: str) -> dict[str, Any]:
    """Returns {best_step, seconds, topology} of a checkpoint."""
    return self._manager.metadata(self.resolve(which)).custom_metadata

  def resolve(self, which: str) -> int:
    """Returns the step that `best`, `latest` or a number stands for.

    Raises:
      ConfigError: listing the saved steps, if it is none of them.
    """
    saved = sorted(self._manager.all_steps())
    if not saved:
      raise ConfigError(f'checkpoint: {self._manager.directory} holds none')
    if which == 'latest':
      step = saved[-1]
    elif which == 'best':
      step = self._manager.metadata(saved[-1]).custom_metadata['best_step']
      if not step:
        raise ConfigError(
          f'checkpoint: no evaluation yet that could be best; latest is {saved[-1]}'
        )
    else:
      step = int(which) if which.isdecimal() else None
    if step not in saved:
      raise ConfigError(f'checkpoint: expected best, latest or one of {saved}, found {which!r}')
    return step

  def restore(self, which: str, like: TrainState, sharding: Sharding) -> TrainState:
    """Restores `best`, `latest` or a step into the structure of `like`, on `sharding`."""
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like
    )
    return self._manager.restore(self.resolve(which), args=ocp.args.StandardRestore(abstract))

  def wait(self) -> None:
    """Waits until everything is on disk; raises what a write in the background met."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    self.wait()
    self._manager.close()


def topology() -> dict[str, Any]:
  """Returns what the bits of a run depend on besides (config, step)."""
  return {
    'platform': jax.default_backend(),
    'devices': jax.device_count(),
    'processes': jax.process_count(),
    'cpus': os.cpu_count(),
    'jaxlib': jaxlib.__version__,
  }
