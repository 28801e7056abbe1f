"""`musicjax.main` with evaluations that never end: after the last batch comes the first one again.

python -m tests.endless_evaluation FLAGS

A signal that comes in one comes in the middle of it, whenever that is. Each is announced in a line.
"""

from musicjax import command_line, main
from musicjax.data import plans
from musicjax.data.plans import eval_plan


def endless_plan(index, rows, config):
  plan, steps = eval_plan(index, rows, config)
  print('evaluating without end', flush=True)
  return lambda step: plan(step % steps), 10**9


if __name__ == '__main__':
  plans.eval_plan = endless_plan
  command_line.run(main.main)
