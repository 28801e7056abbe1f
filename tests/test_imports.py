"""What computes needs JAX alone: it can be used, and starts, without what reads data or saves."""

import subprocess
import sys

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
