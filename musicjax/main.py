"""musicjax: music tagging systems, each a config, on one deterministic train loop.

Train (resumes by itself), score a checkpoint, tag files:

  python -m musicjax.main --config=configs/quickstart.py --workdir=runs/quickstart
  python -m musicjax.main --config=configs/yandex.py --workdir=runs/yandex --config.data_dir=DIR
  python -m musicjax.main --config=configs/yandex.py:baseline --workdir=W --config.batch_size=64
  python -m musicjax.main --workdir=runs/yandex --mode=evaluate --checkpoint=latest
  python -m musicjax.main --workdir=runs/audio --mode=predict --inputs='folder/,more/*.mp3'

What a config holds, and which models there are:

  python -m musicjax.main --config=configs/yandex.py --show_config
  python -m musicjax.main --list_models='*transformer*'

A workdir keeps the run's config for evaluation and prediction. Curves: tensorboard --logdir runs
"""

import json
import re
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from musicjax import backends, command_line
from musicjax import config as config_lib
from musicjax.data import files
from musicjax.errors import ConfigError

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(command_line)  # --help shows them, too.
flags.DEFINE_string('workdir', None, 'Folder of the run; made if missing.')
flags.DEFINE_enum('mode', 'train', ['train', 'evaluate', 'predict'], 'What to do.')
flags.DEFINE_string(
  'checkpoint', '', 'To evaluate or predict: best, latest, a step; none: reported.'
)
flags.DEFINE_list('inputs', [], "Files, folders, patterns, lists; none: the data's own test set.")
flags.DEFINE_bool('slices', False, 'Predict also the slices of tracks, with their seconds.')
flags.DEFINE_bool('distributed', False, 'Join the other processes, see launch/.')
flags.DEFINE_bool('show_config', False, 'List the fields of --config with their comments.')
flags.DEFINE_string('list_models', None, 'List the models whose name matches a pattern, e.g. "*".')
flags.DEFINE_string('compilation_cache', backends.COMPILATION_CACHE, 'Keeps compiled programs.')


def main(config: ConfigDict | None) -> None:
  """Does what the flags say; imports only what that needs, and what is slow last.

  Args:
    config: of `--config`, or None.

  Raises:
    ConfigError, DataError, FloatingPointError: what the user must know, in one line.
  """
  if FLAGS.list_models is not None:
    from musicjax import models

    return print('\n'.join(models.names(FLAGS.list_models)))
  if FLAGS.show_config:
    from musicjax import config_help

    command_line.require('config')
    file = config_flags.get_config_filename(FLAGS['config']).split(':')[0]
    return print(config_help.describe(config, [Path(config_lib.__file__), Path(file)]))

  command_line.require('workdir', *(['config'] if FLAGS.mode == 'train' else []))
  if config is not None:
    config_lib.check(config)
  if not re.fullmatch('|best|latest|[0-9]{1,10}', FLAGS.checkpoint):
    raise ConfigError(f'--checkpoint: expected best, latest or a step, found {FLAGS.checkpoint!r}')
  files.check(FLAGS.inputs)
  from musicjax import workdir as workdir_lib

  workdir, mode = Path(FLAGS.workdir), FLAGS.mode
  if mode != 'train':
    config = workdir_lib.read_config(workdir, config)
  if mode != 'evaluate':
    workdir_lib.check_writable(workdir / {'predict': 'predictions'}.get(mode, ''), '--workdir')
  if config.prepared_dir and not Path(config.prepared_dir).exists():
    workdir_lib.check_writable(Path(config.prepared_dir), 'config.prepared_dir')

  with backends.importing():
    backends.set_up(FLAGS.compilation_cache, FLAGS.distributed)
    from musicjax import evaluate, predict, processes, train

  checkpoint = FLAGS.checkpoint or config.report_checkpoint
  with processes.ending_together():
    if mode == 'train':
      train.train_and_evaluate(config, workdir)
    elif mode == 'evaluate':
      scores = workdir_lib.finite(evaluate.evaluate_checkpoint(workdir, config, checkpoint))
      train.say(json.dumps(scores, indent=2))
    else:
      path = predict.predict(workdir, config, checkpoint, FLAGS.inputs, FLAGS.slices)
      train.say(str(path))


if __name__ == '__main__':
  command_line.run(main)
