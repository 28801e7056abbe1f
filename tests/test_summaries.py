"""What TensorBoard shows, asked of TensorBoard's own readers."""

import jax
import ml_collections
import numpy as np
import pytest
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.data import provider, server_ingester
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import backend_context, list_session_groups
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.pr_curve import pr_curves_plugin

from musicjax import metrics, summaries

_CONTEXT = context.RequestContext()


def _python_reader(logdir):
  multiplexer = plugin_event_multiplexer.EventMultiplexer(
      tensor_size_guidance={'scalars': 0, 'text': 0, 'pr_curves': 0, 'hparams': 0})
  multiplexer.AddRunsFromDirectory(str(logdir))
  multiplexer.Reload()
  return data_provider.MultiplexerDataProvider(multiplexer, str(logdir))


def _server_reader(logdir):
  """TensorBoard's default where its data server is installed; has rules of its own."""
  try:
    binary = server_ingester.get_server_binary()
  except server_ingester.NoDataServerError as error:
    pytest.skip(str(error))
  ingester = server_ingester.SubprocessServerDataIngester(
      server_binary=binary, logdir=str(logdir), reload_interval=-1,
      channel_creds_type=server_ingester.grpc_util.ChannelCredsType.LOCAL,
      samples_per_plugin={'scalars': 1000})
  ingester.start()
  return ingester.data_provider


def _read_steps(reader, tag):
  return [(d.step, d.value) for d in reader.read_scalars(
      _CONTEXT, experiment_id='', plugin_name='scalars', downsample=1000,
      run_tag_filter=provider.RunTagFilter(runs=['run'], tags=[tag]))['run'][tag]]
