"""What a run shows of its first batch, and what else the report of a run on audio leaves."""

import io
import json

import jax
import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing import event_accumulator

from configs import spectrogram_cnn
from musicjax import first_look, sharding, system, thresholds, train
from musicjax.audio.features import LogMel
from musicjax.data import array_records, input_pipeline, plans, statistics
from tests.conftest import write_audio_folder


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  home = tmp_path_factory.mktemp('home')
  config = spectrogram_cnn.get_config('test')
  config.data_dir = str(write_audio_folder(home / 'raw', num_tracks=6))
  config.prepared_dir = str(home / 'prepared')
  return config


@pytest.fixture(scope='module')
def workdir(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  train.train_and_evaluate(config, workdir)
  return workdir


@pytest.fixture(scope='module')
def parts(config):
  """(prepared dataset, plan of training, `System.prepare`)."""
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  dataset = {
    'label_names': prepared.label_names,
    'input_shape': prepared.input_shape,
    'statistics': statistics.input_statistics(prepared, rows, config),
    'support': [1] * len(prepared.label_names),
  }
  made = system.create(config, dataset, sharding.make_mesh())
  return prepared, plans.train_plan(prepared.index, rows, config), made.prepare


@pytest.fixture(scope='module')
def events(workdir):
  events = event_accumulator.EventAccumulator(str(workdir), size_guidance={'tensors': 0})
  return events.Reload()


def test_examples_are_those_of_the_first_batch_as_the_update_makes_them(config, parts):
  batch = input_pipeline.batch_at(config, 0)
  micro = {name: array[0] for name, array in batch.items()}
  before, after = jax.device_get(parts[2](0, 0, micro))
  examples = first_look.first_examples(config, *parts)
  assert len(examples) == first_look.NUM_EXAMPLES
  for i, example in enumerate(examples):
    np.testing.assert_array_equal(example.before, before['inputs'][i])
    np.testing.assert_array_equal(example.after, after['inputs'][i])
    assert example.label == parts[0].label_names[micro['labels'][i].argmax()]
    assert example.track.split('/')[0] == example.label
  assert any((e.before != e.after).any() for e in examples)
  assert any(' + ' in e.augmented_label for e in examples)  # One is mixed with another.


@pytest.mark.parametrize('crop_frames', [0, 5])
def test_the_sound_of_an_example_is_what_its_picture_was_made_from(config, parts, crop_frames):
  prepared, _, prepare = parts
  config = config.copy_and_resolve_references()
  config.crop_frames = crop_frames
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  front_end = LogMel(**prepared.parameters['front_end'])
  seconds = []
  for example in first_look.first_examples(config, prepared, plan, prepare):
    decibels = np.asarray(front_end(example.audio[None]))[0]
    # Frames at the edges reach beyond a crop; float16 of what 150 dB are mapped to rounds by 0.04.
    inner = slice(1, -2)
    np.testing.assert_allclose(
      decibels[: len(example.decibels)][inner], example.decibels[inner], atol=0.2
    )
    seconds.append(example.seconds)
  assert max(seconds) > 0


def test_without_their_files_examples_are_silent(config, parts, tmp_path):
  moved = config.copy_and_resolve_references()
  moved.data_dir = str(tmp_path)
  found = first_look.first_examples(moved, *parts)
  assert [example.audio for example in found] == [None] * first_look.NUM_EXAMPLES
  expected = first_look.first_examples(config, *parts)
  np.testing.assert_array_equal(found[0].after, expected[0].after)


def test_a_label_is_named_with_what_was_mixed_into_it():
  names = ['rock', 'pop', 'jazz', 'folk', 'soul', 'funk']
  for label, expected in (
    ([0, 1, 0, 0, 0, 0], 'pop'),
    ([1, 0, 1, 0, 0, 0], 'rock, jazz'),
    ([0, 0, 0, 0, 0, 0], 'none'),
    ([0.375, 0.625, 0.001, 0, 0, 0], '0.62 pop + 0.38 rock'),
    ([0.1, 0.1, 0.1, 0.1, 0.1, 0.5], '0.50 funk + 0.10 rock + 0.10 pop + 0.10 jazz + …'),
  ):
    assert first_look.describe(np.array(label), names) == expected


def test_tensorboard_shows_and_plays_the_examples(config, workdir, events):
  rows = json.loads((workdir / 'report/examples.json').read_text())
  report = (workdir / 'report.md').read_text()
  assert len(rows) == first_look.NUM_EXAMPLES
  for number, row in enumerate(rows, 1):
    picture = (workdir / 'report' / row['file']).read_bytes()
    assert picture.startswith(b'\x89PNG')
    assert f'](report/{row["file"]})' in report
    # An image's width, height and PNG, after which come the audio's WAV and its caption.
    image = events.Tensors(f'examples/{number}')[0].tensor_proto.string_val
    assert image[2].startswith(b'\x89PNG')
    sound = events.Tensors(f'examples/{number}/sound')[0].tensor_proto.string_val
    samples, rate = soundfile.read(io.BytesIO(sound[0]))
    assert (len(samples), rate) == (4000, 8000)
    original, _ = soundfile.read(f'{config.data_dir}/{row["track"]}')
    if len(original) >= 4000:
      start = round(row['start'] * 8000)
      # 16 bits of each.
      np.testing.assert_allclose(samples, original[start : start + 4000], atol=1e-4)


def test_tensorboard_has_the_report_and_the_true_positive_ratio(workdir, events):
  tags = events.Tags()['tensors']
  assert {f'{split}/true_positive_ratio' for split in ('train', 'validation')} <= set(tags)
  assert {'report', 'report/confusion', 'report/history'} <= set(tags)
  text = events.Tensors('report')[0].tensor_proto.string_val[0].decode()
  assert '| low |' in text
  assert '![' not in text
  row = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
  assert 0 <= row['train_true_positive_ratio'] <= 1
  assert row['validation_true_positive_ratio'] == row['validation_accuracy']


def test_a_run_leaves_thresholds_and_their_f1_on_test(workdir):
  final = json.loads((workdir / 'metrics.json').read_text())
  assert final['test_tuned'].keys() == {'f1_macro', 'f1_micro'}
  assert thresholds.load(workdir, ['high', 'low', 'noise']).shape == (3,)
  content = json.loads((workdir / 'thresholds.json').read_text())
  assert content['step'] == final['reported_step']
