"""`musicjax.main`, telling when each stage of a start is over; ends after two steps.

For first_step.py and memory.py. Prints lines `@STAGE SECONDS MB`: seconds since the epoch, and the
most memory held until then. What a step makes is waited for.
"""

import functools
import os
import resource
import time

import jax

from musicjax import backends, command_line, main


def tell(stage: str) -> None:
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
  print(f'@{stage} {time.time()} {most}', flush=True)


def told(function, stage: str):
  @functools.wraps(function)
  def run(*args, **kwargs):
    result = function(*args, **kwargs)
    tell(stage)
    return result

  return run


def watched_create(create):
  def run(*args, **kwargs):
    parts = create(*args, **kwargs)
    steps = []

    def update(state, batch):
      steps.append(None)
      tell(f'before step {len(steps)}')
      result = jax.block_until_ready(parts.update(state, batch))
      tell(f'step {len(steps)}')
      if len(steps) == 2:
        os._exit(0)
      return result

    update.lower = parts.update.lower  # Training compiles by it, beside other things.
    tell('create')
    return parts._replace(update=update)

  return run


def after_init(function):
  def run(*args):
    tell('init')  # `parts.init` stays jitted for `eval_shape`; its step number was waited for.
    return function(*args)

  return run


if __name__ == '__main__':
  with backends.importing():  # As `main` does.
    backends.set_up(compilation_cache='')
    from musicjax import train

  tell('imports')
  train.array_records.prepare = told(train.array_records.prepare, 'prepare')
  train.workdir_lib.claim = told(train.workdir_lib.claim, 'claim')
  train.system.create = watched_create(train.system.create)
  train.workdir_lib.cut_evaluations = after_init(train.workdir_lib.cut_evaluations)
  command_line.run(main.main)
