"""What TensorBoard shows of a run, asked of TensorBoard's own readers."""

import time

import ml_collections
import numpy as np
import pytest
from tensorboard import context
from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing import plugin_event_multiplexer as multiplexers
from tensorboard.data import provider, server_ingester
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.plugins.pr_curve import pr_curves_plugin
from tensorboard.util import grpc_util

from musicjax import metrics, summaries

_CONTEXT = context.RequestContext()


def _read_in_python(logdir):
  multiplexer = multiplexers.EventMultiplexer(tensor_size_guidance={'scalars': 0, 'pr_curves': 0})
  multiplexer.AddRunsFromDirectory(str(logdir))
  multiplexer.Reload()
  return data_provider.MultiplexerDataProvider(multiplexer, str(logdir))


def _read_scalars(reader, tag):
  runs = reader.read_scalars(
    _CONTEXT,
    experiment_id='',
    plugin_name='scalars',
    downsample=1000,
    run_tag_filter=provider.RunTagFilter(runs=['run'], tags=[tag]),
  )
  return [(datum.step, datum.value) for datum in runs.get('run', {}).get(tag, ())]


def _write_killed_and_resumed_run(workdir, kills):
  """Writes steps 0..100 as often as the run starts; a value tells the start it came from."""
  for start, restored_step in enumerate([0, *kills]):
    writer = summaries.create_writer(workdir, restored_step)
    for step in range(restored_step + 1 if restored_step else 0, 101):
      writer.write_scalars(step, {'loss': start})
    writer.flush()  # and no close: it was killed


@pytest.mark.parametrize(
  ('kills', 'expected'),
  [
    ([50], [(s, 0 if s <= 50 else 1) for s in range(101)]),
    ([50, 70], [(s, (s > 50) + (s > 70)) for s in range(101)]),
    ([0], [(s, 1) for s in range(101)]),  # killed before its first checkpoint
  ],
)
def test_resumed_run_has_one_value_a_step(tmp_path, kills, expected):
  _write_killed_and_resumed_run(tmp_path / 'run', kills)
  assert _read_scalars(_read_in_python(tmp_path), 'loss') == expected


def test_resumed_run_has_one_value_a_step_in_the_data_server(tmp_path):
  _write_killed_and_resumed_run(tmp_path / 'run', [50])
  try:  # TensorBoard's default reader, where there is a wheel of it; it has rules of its own.
    binary = server_ingester.get_server_binary()
  except server_ingester.NoDataServerError as error:
    pytest.skip(f'tensorboard-data-server: {error}')
  ingester = server_ingester.SubprocessServerDataIngester(
    binary,
    str(tmp_path),
    reload_interval=1,
    samples_per_plugin={'scalars': 0},
    channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
  )
  ingester.start()
  expected = [(s, 0 if s <= 50 else 1) for s in range(101)]
  deadline, values = time.time() + 20, []
  while values != expected and time.time() < deadline:
    values = _read_scalars(ingester.data_provider, 'loss')
    time.sleep(0.1)
  assert values == expected


def test_hparams_tab_shows_fields_that_differ_and_final_metrics_first(tmp_path):
  for run, rate in (('a', 0.1), ('b', 0.2)):
    config = ml_collections.ConfigDict(
      dict(
        seed=0,
        optimizer=dict(name='adamw', learning_rate=rate, nesterov=True),
        buckets=(1, 2),
        pretrained=ml_collections.config_dict.placeholder(str),
      )
    )
    writer = summaries.create_writer(tmp_path / run, 0)
    summaries.write_run_description(writer, config, {'Dense_0': {'kernel': np.zeros((3, 5))}})
    writer.write_scalars(7, {'learning_rate': rate})
    summaries.write_final_metrics(writer, 7, {'test': {'map_macro': rate * 2}})
    writer.close()

  reader = _read_in_python(tmp_path)
  plugin = backend_context.Context(base_plugin.TBContext(data_provider=reader))
  request = api_pb2.ListSessionGroupsRequest(
    allowed_statuses=[api_pb2.STATUS_SUCCESS], slice_size=10
  )
  groups = list_session_groups.Handler(_CONTEXT, plugin, '', request).run().session_groups
  shown = {group.sessions[0].name: group for group in groups}
  assert dict(shown['a'].hparams.items()).keys() == {
    'seed',
    'optimizer.name',
    'optimizer.learning_rate',
    'optimizer.nesterov',
    'buckets',
  }
  assert shown['b'].hparams['optimizer.learning_rate'].number_value == 0.2
  assert shown['b'].hparams['optimizer.nesterov'].bool_value is True
  first = shown['b'].metric_values[0]
  assert (first.name.tag, first.training_step) == ('final/test_map_macro', 7)
  assert first.value == pytest.approx(0.4)  # stored as float32

  experiment = plugin.experiment_from_metadata(
    _CONTEXT, '', True, plugin.hparams_metadata(_CONTEXT, ''), None
  )
  assert [h.name for h in experiment.hparam_infos if h.differs] == ['optimizer.learning_rate']
  texts = reader.list_tensors(_CONTEXT, experiment_id='', plugin_name='text')
  assert set(texts['a']) == {'config', 'parameters'}


def test_class_metrics_are_a_scalar_a_class_and_curves_of_the_frequent_ones(tmp_path):
  rng = np.random.default_rng(0)
  num_classes = summaries.NUM_PR_CURVES + 5
  names = [f'genre---{c} a/b' for c in range(num_classes)]
  labels = rng.uniform(size=(300, num_classes)) < np.linspace(0.05, 0.6, num_classes)
  labels[:, 7] = False
  scores = rng.uniform(size=labels.shape)
  writer = summaries.create_writer(tmp_path / 'run', 0)
  summaries.write_class_metrics(writer, 3, 'validation', scores, labels, names)
  writer.close()

  reader = _read_in_python(tmp_path)
  expected = metrics.average_precision(scores, labels)
  for c, name in enumerate(names):
    values = _read_scalars(reader, f'validation_ap/{name}')
    # Written as float32: half a unit in its last place.
    assert values == ([] if c == 7 else [(3, pytest.approx(expected[c], rel=1e-7))])

  plugin = pr_curves_plugin.PrCurvesPlugin(base_plugin.TBContext(data_provider=reader))
  frequent = np.argsort(-labels.sum(0), kind='stable')[: summaries.NUM_PR_CURVES]
  tags = {f'validation_pr/{names[c]}': c for c in frequent}
  assert plugin.tags_impl(_CONTEXT, '')['run'].keys() == tags.keys()
  tag, c = next(iter(tags.items()))
  (curve,) = plugin.pr_curves_impl(_CONTEXT, '', ['run'], tag)['run']
  decided = scores[:, c] >= 0.5
  middle = curve['thresholds'].index(0.5)
  assert curve['step'] == 3
  assert curve['true_positives'][middle] == np.sum(decided & labels[:, c])
  assert curve['recall'][middle] == pytest.approx(decided[labels[:, c]].mean(), rel=1e-6)


def test_other_processes_write_nothing(tmp_path, monkeypatch):
  monkeypatch.setattr('jax.process_index', lambda: 1)
  writer = summaries.create_writer(tmp_path / 'run', 50)
  writer.write_scalars(51, {'loss': 1.0})
  writer.close()
  assert not (tmp_path / 'run').exists()
