"""Quickstart: six synthesised genres, told apart by tempo, rhythm and scale more than by timbre.

  python -m musicjax.main --config=configs/quickstart.py --workdir=runs/quickstart

Needs no data: 1,400 tracks of 4 to 6 seconds are synthesised on first use, as log-mel frames. The
model is the Transformer of the Yandex config on tokens of four frames.

Variants:
  (none)     317 thousand parameters.
  baseline   the published Yandex network on the same frames.
  test       tiny, compiles in seconds; takes two steps.
"""

from ml_collections import ConfigDict

from musicjax.config import base_config
from musicjax.fields import check_name


def get_config(variant: str = '') -> ConfigDict:
  """Returns the config of a variant."""
  check_name('variant', variant, ('', 'baseline', 'test'))
  config = base_config()
  config.task = 'single_label'
  config.select_metric = 'accuracy'
  config.dataset.name = 'quickstart'
  config.dataset.num_tracks = 1400
  config.dataset.seed = 0  # of the synthesised tracks
  config.normalize = 'per_feature'

  config.batch_size = 32
  config.num_epochs = 20.0
  config.loss = dict(name='softmax_cross_entropy', label_smoothing=0.0)
  config.model = dict(
    name='attention_transformer',
    patch_frames=4,  # mel frames a token
    width=128,
    num_layers=2,
    num_heads=4,
    mlp_dim=256,
    dropout=0.1,  # inside the encoder
    head_dropout=0.2,  # on the pooled vector
  )
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 26
  config.optimizer.clip_norm = 1.0
  config.augment.mixup = dict(
    alpha=0.4,  # of the Beta distribution of the weights
    probability=1.0,  # of an example to be mixed
  )

  if variant == 'baseline':
    config.model = dict(
      name='conv_transformer',
      width=64,
      num_layers=1,
      num_heads=4,
      mlp_dim=128,
      branches=((7, 5, 5), (5, 3, 3), (3, 3, 3), (1,)),  # kernel sizes of each conv branch
      head_dim=128,
      dropout=0.1,
      head_dropout=0.5,
    )
  elif variant == 'test':
    config.dataset.num_tracks = 60
    config.model.update(width=16, num_layers=1, num_heads=2, mlp_dim=16)
    config.batch_size, config.eval_batch_size = 8, 8
    config.num_train_steps = 2
    config.optimizer.warmup_steps = 0
  return config
