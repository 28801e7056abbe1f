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

Curves: tensorboard --logdir runs. A workdir keeps the run's config: evaluation and prediction take
it from there, and prediction with --inputs needs no data_dir.
"""

import json
import os
import sys
from pathlib import Path

# TensorFlow only reads data here; what it says of its own speed is of no use to anyone.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

from absl import app, flags, logging
from ml_collections import config_flags

from musicjax.errors import ConfigError, DataError

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file('config', None, 'A file of configs/, with :variant.')
flags.DEFINE_string('workdir', None, 'Folder of the run; made if missing.')
flags.DEFINE_enum('mode', 'train', ['train', 'evaluate', 'predict'], 'What to do.')
flags.DEFINE_string('checkpoint', 'best', 'best, latest or a step; for evaluate and predict.')
flags.DEFINE_list('inputs', [], "Files and folders to predict; none: the data's own test set.")
flags.DEFINE_bool('distributed', False, 'Join the processes of a TPU pod or a Slurm job.')
flags.DEFINE_bool('show_config', False, 'List the fields of --config with their comments.')
flags.DEFINE_string('list_models', None, 'List the models whose name matches a pattern, e.g. "*".')
flags.DEFINE_bool('debug', False, 'Show the traceback of an error in the input or the config.')
flags.DEFINE_string(
  'compilation_cache',
  os.environ.get('JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/musicjax/xla')),
  'Where compiled programs are kept for the next start; empty: nowhere.',
)


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


def run() -> None:
  """Does what the flags say.

  Raises:
    ConfigError, DataError: what the user can mend.
  """
  if FLAGS.list_models is not None:
    from musicjax import models

    print('\n'.join(models.names(FLAGS.list_models)))
    return
  if FLAGS.show_config:
    from musicjax import config, config_help

    _require('config', FLAGS.config)
    file = Path(config_flags.get_config_filename(FLAGS['config']).split(':')[0])
    print(config_help.describe(FLAGS.config, [Path(config.__file__), file]))
    return

  _require('workdir', FLAGS.workdir)
  if FLAGS.mode == 'train':
    _require('config', FLAGS.config)
  import jax
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')  # The accelerator is JAX's.
  if FLAGS.distributed:
    jax.distributed.initialize()
  if FLAGS.compilation_cache:
    jax.config.update('jax_compilation_cache_dir', FLAGS.compilation_cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  workdir = Path(FLAGS.workdir)
  if FLAGS.mode == 'train':
    from musicjax import train

    train.train_and_evaluate(FLAGS.config, workdir)
    return

  from musicjax import evaluate, predict
  from musicjax.workdir import read_config

  config = read_config(workdir, FLAGS.config)
  if FLAGS.mode == 'evaluate':
    print(json.dumps(evaluate.evaluate_checkpoint(workdir, config, FLAGS.checkpoint), indent=2))
  else:
    print(predict.predict(workdir, config, FLAGS.checkpoint, FLAGS.inputs))


def _require(flag: str, value) -> None:
  if not value:
    raise ConfigError(f'--{flag}: expected a value, found none; see --help')


if __name__ == '__main__':
  app.run(main)
