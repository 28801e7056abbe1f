"""Prepares a config's dataset by the command line of TFDS, which can hand it to Apache Beam.

  tfds build musicjax --imports=musicjax.data.tfds_builder --data_dir=PREPARED \\
    --config='configs/spectrogram_cnn.py --config.data_dir=FOLDER' \\
    --beam_pipeline_options=runner=FnApiRunner,direct_running_mode=multi_processing,direct_num_workers=0

`--config` is what `musicjax.main` takes after `--config=`, in quotes. A run of this config with
`--config.prepared_dir=PREPARED` opens what was prepared; as does one without a prepared_dir, where
there was no `--data_dir`. Without `--beam_pipeline_options`, or Beam, our own workers prepare. Of
TFDS's other flags `--overwrite` and `--fail_if_exists` count.
"""

from typing import Any

import tensorflow_datasets as tfds

from musicjax import command_line
from musicjax import config as config_lib
from musicjax.data import array_records, builders, folds_builder


class Musicjax(folds_builder.FoldsBuilder):
  """The dataset of a config, under the name that it has for every run of it."""

  # Without one, TFDS takes no --config.
  BUILDER_CONFIGS = (tfds.core.BuilderConfig(name='configs/NAME.py --config.data_dir=FOLDER'),)

  def __init__(self, *, config: str, data_dir: Any | None = None):
    """Reads labels.

    Args:
      config: `FILE --config.field=value ...`.
      data_dir: where prepared datasets are kept, if the config does not say so.
    """
    with command_line.told_in_one_line():
      config = command_line.config_of(config)
      config.prepared_dir = config.prepared_dir or str(data_dir or '')
      config_lib.check(config)
      source = builders.module(config.dataset.name).load(config)
    name = array_records.dataset_name(source, config)
    super().__init__(source, config, name, array_records.root_of(config))

  def download_and_prepare(
    self,
    *,
    download_dir: Any | None = None,
    download_config: tfds.download.DownloadConfig | None = None,
  ) -> None:
    """Packs the dataset; of all options those of Beam count."""
    del download_dir  # Nothing is downloaded.
    with command_line.told_in_one_line():
      array_records.pack(
        self._source, self._config, download_config and download_config.beam_options
      )
    self.info.read_from_directory(self.data_dir)
