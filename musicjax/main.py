"""musicjax: music tagging systems, each a config, on one deterministic train loop.

Train (resumes by itself), score a checkpoint, tag files:

  python -m musicjax.main --config=configs/quickstart.py --workdir=runs/quickstart
  python -m musicjax.main --config=configs/yandex.py --workdir=runs/yandex --config.data_dir=DIR
  python -m musicjax.main --config=configs/yandex.py:baseline --workdir=W --config.batch_size=64
  python -m musicjax.main --workdir=runs/yandex --mode=evaluate --checkpoint=latest
  python -m musicjax.main --workdir=runs/yandex --mode=predict --inputs=track.npy,more_tracks/

What a config holds, and which models there are:

  python -m musicjax.main --config=configs/yandex.py --show_config
  python -m musicjax.main --list_models='*transformer*'

A workdir keeps the run's config for evaluation and prediction. Curves: tensorboard --logdir runs
"""

import json
import sys
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from musicjax import backends
from musicjax.errors import ConfigError, DataError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', None, 'A file of configs/, with :variant.')
flags.DEFINE_string('workdir', None, 'Folder of the run; made if missing.')
flags.DEFINE_enum('mode', 'train', ['train', 'evaluate', 'predict'], 'What to do.')
flags.DEFINE_string('checkpoint', 'best', 'best, latest or a step; for evaluate and predict.')
flags.DEFINE_list('inputs', [], "Files and folders to predict; none: the data's own test set.")
flags.DEFINE_bool('distributed', False, 'Join the processes of a TPU pod or a Slurm job.')
flags.DEFINE_bool('show_config', False, 'List the fields of --config with their comments.')
flags.DEFINE_string('list_models', None, 'List the models whose name matches a pattern, e.g. "*".')
flags.DEFINE_bool('debug', False, 'Show the traceback of an error in the input or the config.')
flags.DEFINE_string('compilation_cache', backends.COMPILATION_CACHE, 'Keeps compiled programs.')


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'expected flags alone, found {argv[1]!r}')
  if not FLAGS['verbosity'].present:
    logging.set_verbosity(logging.ERROR)  # Libraries tell of every file they touch.
  try:
    run()
  except (ConfigError, DataError) as error:
    if FLAGS.debug:
      raise
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
  except FloatingPointError as error:
    print(f'stopped: {error}', file=sys.stderr)
    sys.exit(1)


def run() -> None:
  """Does what the flags say; imports only what that needs.

  Raises:
    ConfigError, DataError, FloatingPointError: what the user must know, in one line.
  """
  if FLAGS.list_models is not None:
    from musicjax import models

    return print('\n'.join(models.names(FLAGS.list_models)))
  if FLAGS.show_config:
    from musicjax import config, config_help

    _require('config')
    file = Path(config_flags.get_config_filename(FLAGS['config']).split(':')[0])
    return print(config_help.describe(FLAGS.config, [Path(config.__file__), file]))

  _require('workdir', *(['config'] if FLAGS.mode == 'train' else []))
  backends.set_up(FLAGS.compilation_cache, FLAGS.distributed)
  from musicjax import evaluate, predict, train
  from musicjax import workdir as workdir_lib

  workdir = Path(FLAGS.workdir)
  if FLAGS.mode == 'train':
    return train.train_and_evaluate(FLAGS.config, workdir)
  config = workdir_lib.read_config(workdir, FLAGS.config)
  if FLAGS.mode == 'evaluate':
    result = evaluate.evaluate_checkpoint(workdir, config, FLAGS.checkpoint)
    train.say(json.dumps(workdir_lib.finite(result), indent=2))
  else:
    train.say(str(predict.predict(workdir, config, FLAGS.checkpoint, FLAGS.inputs)))


def _require(*names: str) -> None:
  for name in names:
    if not FLAGS[name].value:
      raise ConfigError(f'--{name}: expected a value, found none; see --help')


if __name__ == '__main__':
  app.run(main)
