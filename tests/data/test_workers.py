import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from musicjax.data import examples, records, workers
from tests.data import fragile


# Lengths around those whose varint takes a byte more: 128, 16384 and 2097152 bytes.
@pytest.mark.parametrize('frames', [1, 9, 11, 1360, 1370, 174_000, 175_000])
@pytest.mark.parametrize('text', ['', 'track', 'é' * 100])
@pytest.mark.parametrize('weight', [{}, {'weight': np.float32(0.3)}])
def test_examples_are_serialised_as_by_tfds(text, frames, weight):
  features = examples.features((None, 3), 'float32', 5, weighted=bool(weight))
  inputs = np.arange(3 * frames, dtype=np.float32).reshape(frames, 3)
  labels = (np.arange(5) % 2).astype(np.uint8)
  example = {'id': text, 'track': text[:1], 'inputs': inputs, 'labels': labels, **weight}
  serialised = records.make_record(text, text[:1], inputs, labels, **weight)
  # TFDS leaves the order of the features to chance.
  expected = tf.train.Example.FromString(features.serialize_example(example))
  assert serialised == expected.SerializeToString(deterministic=True)
  offset = records.inputs_offset(serialised)
  assert serialised[offset : offset + inputs.nbytes] == inputs.tobytes()
  again = features.deserialize_example_np(serialised)
  assert again['id'].decode() == text
  np.testing.assert_array_equal(again['inputs'], inputs)
  np.testing.assert_array_equal(again['labels'], labels)
  assert again.get('weight') == weight.get('weight')


PROGRAM = """
import pathlib
import numpy as np
from musicjax.data import workers
from tests.data import fragile

workers.check_no_worker()  # As `prepare` does.
shard = workers.Shard(pathlib.Path('shard'), ['a'], [pathlib.Path('raw/000')], np.ones((1, 1)))
reader = workers.Reader(fragile.decode, None, (None, 2), 'float32', True)
workers.write_shards([shard], reader, 60.0, print)
"""


def test_a_program_without_a_main_guard_ends_and_says_so(tmp_path):
  fragile.write(tmp_path / 'raw', 'ok')
  (tmp_path / 'program.py').write_text(PROGRAM)
  result = subprocess.run(
    [sys.executable, 'program.py'],
    capture_output=True,
    text=True,
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])},
  )
  assert result.returncode == 1
  assert 'RuntimeError: the program prepares data as it is imported' in result.stderr
  assert not fragile.decoded(tmp_path / 'raw')


def test_long_examples_do_not_wait_for_a_full_batch(tmp_path, monkeypatch):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'bad', 'ok', 'ok', 'bad', 'ok')
  paths = sorted(folder.glob('[0-9]*'))
  names = [path.name for path in paths]
  shard = workers.Shard(tmp_path / 'shard', names, paths, np.ones((6, 1)))
  reader = workers.Reader(fragile.decode, None, (None, 2), 'float32', True)
  monkeypatch.setattr(workers, 'FEATURE_BYTES', 25)  # Examples have 8, 24, 8 and 24.
  positions, skipped, said = iter(range(6)), {}, []
  batches = [list(workers._decode(shard, positions, reader, skipped, said.append)) for _ in '123']
  assert batches == [[0, 2], [3, 5], []]
  assert list(skipped) == [1, 4]
  assert said == [0, 1, 2, -1, 3, 4, 5, -1, -1]


def test_workers_import_neither_tensorflow_nor_jax():
  code = (
    'import sys; import musicjax.data.workers, musicjax.data.builders.yandex; print(*sys.modules)'
  )
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  found = {name.split('.')[0] for name in result.stdout.split()}
  assert 'array_record' in found
  assert not {'tensorflow', 'tensorflow_datasets', 'jax'} & found
