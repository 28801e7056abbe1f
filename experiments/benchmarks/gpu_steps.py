"""Updates of musicjax on random batches: compiled at once, fed, timed, their products counted."""

import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import plain_config  # noqa: F401

# isort: split
from configs import yandex
from experiments.benchmarks.gpu_page import Page
from musicjax import sharding, system


class Sizes(NamedTuple):
  """Of what a step is fed with; those of the competition."""

  frames: int = 60
  width: int = 768
  tags: int = 256


def forward_flops(params: Any, config, sizes: Sizes) -> int:
  """Returns the operations of an example's products: two a weight that it is multiplied by.

  Those of the head are used once an example, all others once a frame; attention has two products
  of all frames with all frames a layer.
  """
  total = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path)
    if 'kernel' in name:
      total += 2 * leaf.size * (1 if 'head' in name or 'logits' in name else sizes.frames)
  width = config.model.width or sizes.width
  return total + config.model.num_layers * 4 * sizes.frames**2 * width


@dataclasses.dataclass
class Step:
  """An update of a config.

  Attributes:
    config: of the run; `batch_size` and `accumulate` shape the batch.
    sizes: of the batch.
    parts: of `system.create`.
    programs: the update, compiled, by padded frames.
    state: fed, and of the last update.
    batch: fed.
  """

  config: Any
  sizes: Sizes
  parts: system.System
  programs: dict[int, Any] = dataclasses.field(default_factory=dict)
  state: Any = None
  batch: Any = None

  @property
  def flops(self) -> int:
    """Of an update's products: backward has two for each of forward's."""
    params = jax.eval_shape(self.parts.init).params
    return 3 * self.config.batch_size * forward_flops(params, self.config, self.sizes)

  @property
  def gigabytes(self) -> float:
    """What an update holds: arguments, results and temporaries, what is donated once."""
    told = self.programs[self.sizes.frames].memory_analysis()
    held = told.argument_size_in_bytes + told.output_size_in_bytes + told.temp_size_in_bytes
    return (held - told.alias_size_in_bytes) / 1e9

  def lower(self, frames: int) -> Any:
    """Returns the update of batches of so many padded frames, to be compiled."""
    split = sharding.batch_sharding(sharding.make_mesh(), 1)
    batch = {
      name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=split)
      for name, array in jax.eval_shape(lambda: self._make_batch(jnp, frames)).items()
    }
    return self.parts.update.lower(jax.eval_shape(self.parts.init), batch)

  def feed(self) -> None:
    """Makes the state and a random batch."""
    self.batch = self.random_batch(self.sizes.frames)
    self.state = self.parts.init()

  def random_batch(self, frames: int) -> dict[str, jax.Array]:
    batch, rng = self._make_batch(np, frames), np.random.default_rng(0)
    batch['inputs'] = rng.standard_normal(batch['inputs'].shape, np.float32)
    batch['labels'] = (rng.random(batch['labels'].shape) < 0.015).astype(np.float32)
    return sharding.to_global(sharding.make_mesh(), batch, 1)

  def _make_batch(self, xp, frames: int) -> dict[str, Any]:
    accumulate = self.config.accumulate
    shape = (accumulate, self.config.batch_size // accumulate)
    return {
      'inputs': xp.zeros((*shape, frames, self.sizes.width), xp.float32),
      'lengths': xp.full(shape, frames, xp.int32),
      'labels': xp.zeros((*shape, self.sizes.tags), xp.float32),
      'weights': xp.ones(shape, xp.float32),
      'index': xp.zeros(shape, xp.int32),
    }

  def update(self) -> jax.Array:
    """Updates the state once; returns the loss."""
    self.state, metrics = self.programs[self.sizes.frames](self.state, self.batch)
    return metrics['loss']

  def run(self, steps: int) -> float:
    """Returns the seconds of a step, the mean of some that are sent off at once."""
    start = time.perf_counter()
    for _ in range(steps):
      loss = self.update()
    jax.block_until_ready(loss)
    return (time.perf_counter() - start) / steps

  def steps_in(self, seconds: float) -> int:
    """Returns how many steps fill these seconds, once it has warmed up."""
    for _ in range(3):
      self.run(2)
    return int(np.clip(seconds / self.run(3), 2, 100))


def make(
  variant: str,
  dtype: str,
  sizes: Sizes,
  batch: int = 0,
  accumulate: int = 0,
  augment: bool = True,
  dropout: float = 1.0,
  layers: int = 0,
) -> Step:
  """Returns the step of a variant of configs/yandex.py.

  Args:
    variant: of the config.
    dtype: of the computation.
    sizes: of the batch.
    batch: examples; 0: as the config has it.
    accumulate: micro-batches; 0: as the config has it.
    augment: keep its augmentation.
    dropout: factor on its rates.
    layers: of its encoder; 0: as the config has it.
  """
  config = yandex.get_config(variant)
  config.dtype = dtype
  config.batch_size = batch or config.batch_size
  config.accumulate = accumulate or config.accumulate
  config.model.num_layers = layers or config.model.num_layers
  if not augment:
    config.augment = {}
  for name in ('dropout', 'head_dropout'):
    config.model[name] *= dropout
  dataset = {
    'label_names': range(sizes.tags),
    'input_shape': (None, sizes.width),
    'statistics': {},
    'support': [1] * sizes.tags,
  }
  return Step(config, sizes, system.create(config, dataset, sharding.make_mesh(), steps=10_000))


def compile_all(page: Page, wanted: Iterable[tuple[Step, int]]) -> None:
  """Compiles steps at once, of so many frames; those that fail are told."""
  start = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    jobs = [(step, frames, pool.submit(step.lower(frames).compile)) for step, frames in wanted]
    for step, frames, job in jobs:
      with page.part(f'compiling {step.config.model.name}, {frames} frames'):
        step.programs[frames] = job.result()
  print(f'{len(jobs)} programs compiled in {time.perf_counter() - start:.0f} s', flush=True)
