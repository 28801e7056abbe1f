"""Nothing that is downloaded, or that a run left, is executed."""

import ast
from pathlib import Path

import numpy as np
import pytest

import musicjax
from musicjax import workdir
from musicjax.data.builders import yandex
from musicjax.errors import ConfigError, DataError

ROOT = Path(musicjax.__file__).parents[1]
FOLDERS = ('musicjax', 'configs', 'launch', 'experiments')
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob('*.py'))
MODULES = {
  'cloudpickle', 'dill', 'joblib', 'jsonpickle', 'marshal', 'pickle', 'shelve', 'torch',
}  # fmt: skip
BUILTINS = {'__import__', 'compile', 'eval', 'exec'}
CALLS = {
  'extract', 'extractall', 'load_module', 'read_pickle', 'run_module', 'run_path',
  'unpack_archive', 'unsafe_load',
}  # fmt: skip


def dangers(source: str) -> list[str]:
  """Returns what in a source could run code that comes with data."""
  found = []
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      found += [a.name for a in node.names if a.name.split('.')[0] in MODULES]
    elif isinstance(node, ast.ImportFrom):
      # Under another name a call would not be seen.
      names = {alias.name for alias in node.names}
      found += [node.module] if (node.module or '').split('.')[0] in MODULES else []
      found += sorted(names & CALLS) + sorted({'load'} & names)
    elif isinstance(node, ast.Name) and node.id in BUILTINS:
      found.append(node.id)
    elif isinstance(node, ast.Attribute) and node.attr in CALLS:
      found.append(node.attr)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ('np.load', 'numpy.load'):
      pickles = {k.arg: ast.unparse(k.value) for k in node.keywords}.get('allow_pickle')
      found += [] if pickles == 'False' else ['np.load']
    elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith('yaml.'):
      found += [] if node.func.attr in ('safe_load', 'safe_dump') else ['yaml']
  return found


def test_no_source_can_unpickle_evaluate_or_unpack_data():
  assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(FOLDERS)
  assert len(SOURCES) > 50
  found = [(str(path), danger) for path in SOURCES for danger in dangers(path.read_text())]
  # What is measured beside ours; no file is read by PyTorch itself.
  with_torch = ('front_end_worker.py', 'gpu_torch.py', 'reading_worker.py', 'torch_networks.py')
  with_torch = {str(ROOT / 'experiments/benchmarks' / name) for name in with_torch}
  assert {path for path, _ in found} == with_torch
  assert {danger for _, danger in found} == {
    'torch',
    'torch.nn',
    'torch.utils.data',
    'torch.utils.flop_counter',
  }
  assert not any('torch.load' in Path(path).read_text() for path in with_torch)


@pytest.mark.parametrize(
  'source',
  [
    'import pickle',
    'import torch.serialization',
    'from joblib import load',
    'from numpy import load',
    'from shutil import unpack_archive',
    'eval(text)',
    'run = exec',
    'np.load(path)',
    'np.load(path, allow_pickle=True)',
    'np.load(path, allow_pickle=flag)',
    'pd.read_pickle(path)',
    'yaml.load(text)',
    'tarfile.open(path).extractall(folder)',
    'runpy.run_path(path)',
  ],
)
def test_the_search_finds(source):
  assert dangers(source)


def test_the_search_passes_what_reads_data_as_data():
  assert not dangers('np.load(path, allow_pickle=False); json.loads(text); ast.literal_eval(text)')


class Trap:
  """Unpickled, it writes a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return Path.touch, (self.path,)


def test_a_pickle_in_an_npy_file_is_refused_and_not_unpickled(tmp_path):
  sprung = tmp_path / 'sprung'
  np.save(tmp_path / 'track.npy', np.array([Trap(sprung)]), allow_pickle=True)
  [(_, result)] = yandex.read_inputs([tmp_path / 'track.npy'], (None, 8), {})
  assert isinstance(result, DataError)
  assert not sprung.exists()
  np.load(tmp_path / 'track.npy', allow_pickle=True)
  assert sprung.exists()  # The trap was live.


@pytest.mark.parametrize('text', ['dict(seed=0)', '[]', '\x80', '{"seed": NaN'])
def test_the_config_of_a_workdir_is_json_and_nothing_else(text, tmp_path):
  (tmp_path / 'config.json').write_text(text, encoding='latin-1')
  (tmp_path / 'dataset.json').write_text('{}')
  with pytest.raises(ConfigError, match=r'config.json: expected'):
    workdir.read_config(tmp_path, None)


def test_the_config_of_a_workdir_is_checked(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": 0}')
  (tmp_path / 'dataset.json').write_text('{}')
  with pytest.raises(ConfigError, match=r'config\..*: expected a value, found none'):
    workdir.read_config(tmp_path, None)
