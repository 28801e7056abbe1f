"""What computes needs JAX alone: it can be used, and starts, without what reads data or saves."""

import subprocess
import sys

from musicjax.data import array_records
from tests.conftest import make_config

COMPUTES = (
  'train_step',
  'train_state',
  'losses',
  'optimizers',
  'models',
  'audio.augment',
  'audio.features',
  'data.plans',
  'data.resident',
  'system',
)
HEAVY = {'tensorflow', 'tensorflow_datasets', 'clu', 'orbax'}


def imported_by(code):
  code += '\nimport sys; print(*sys.modules)'
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  return {name.split('.')[0] for name in result.stdout.split()}


def test_what_computes_imports_neither_tensorflow_nor_clu_nor_orbax():
  imports = ''.join(f'import musicjax.{name}\n' for name in COMPUTES)
  found = imported_by(imports + 'assert len(musicjax.models.names()) >= 2')  # Imports them all.
  assert 'jax' in found
  assert not HEAVY & found


def test_a_prepared_dataset_is_opened_and_a_training_imported_without_tensorflow(
  yandex_folder, prepared_dir
):
  config = make_config(yandex_folder, prepared_dir)
  array_records.prepare(config)
  found = imported_by(
    'from configs import yandex\n'
    'from musicjax import evaluate, predict, processes, train\n'
    "config = yandex.get_config('test')\n"
    f'config.data_dir, config.prepared_dir = {config.data_dir!r}, {config.prepared_dir!r}\n'
    'train.array_records.prepare(config)'
  )
  assert 'orbax' in found
  assert not {'tensorflow', 'tensorflow_datasets', 'clu', 'sklearn', 'librosa', 'pandas'} & found
