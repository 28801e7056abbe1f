"""Yandex Cup 2023: 256-tag tagging of sequences of 768-wide embeddings.

  python -m musicjax.main --config=configs/yandex.py --workdir=runs/yandex --config.data_dir=DIR
  python -m musicjax.main --workdir=runs/yandex --mode=predict     # predictions/prediction.csv

DIR holds train.csv, test.csv and track_embeddings/ as the competition gave them; embedding width
and number of tags are found from the data. Metric: macro average precision (map_macro).

Variants:
  (none)     ours: several encoder layers, masked attention pooling, random span crops, mixup over
             time, asymmetric loss, EMA, cosine schedule with clipping.
  baseline   the published recipe (macro AP 0.19 in the competition) without its faults: dropout of
             single features, one optimizer throughout, padding masked, no noise on padding.
             Micro-batch gradients are averaged, not summed: AdamW does not see the difference.
  test       tiny, compiles in seconds; takes two steps.
"""

from typing import Any

from ml_collections import ConfigDict

from musicjax.config import base_config
from musicjax.fields import check_name


def get_config(variant: str = '') -> ConfigDict:
  """Returns the config of a variant."""
  check_name('variant', variant, ('', 'baseline', 'test'))
  config = base_config()
  config.dataset.name = 'yandex'
  config.task = 'multi_label'
  config.select_metric = 'map_macro'
  config.buckets = (48, 60, 72, 96, 140)  # quartiles of the lengths are 43, 53 and 68
  if variant == 'baseline':
    return _baseline(config)

  config.batch_size = 256
  config.num_epochs = 20.0
  config.crop_frames = 60
  config.model = dict(
    name='attention_transformer',
    width=512,
    num_layers=4,
    num_heads=8,
    mlp_dim=1024,
    dropout=0.1,  # inside the encoder
    head_dropout=0.3,  # on the pooled vector
  )
  config.loss = dict(
    name='asymmetric',
    gamma_neg=4.0,  # focusing of negatives
    gamma_pos=0.0,  # focusing of positives
    clip=0.05,  # probability margin below which negatives count nothing
    label_smoothing=0.0,  # towards one half
  )
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 5e-4
  config.optimizer.weight_decay = 0.01
  config.optimizer.decay = 'kernels'
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 200
  config.optimizer.clip_norm = 1.0
  config.augment.mixup = dict(
    alpha=0.4,  # of the Beta distribution of the weights
    probability=0.5,  # of an example to be mixed
  )
  config.ema_decay = 0.995

  if variant == 'test':
    config.model.update(width=16, num_layers=1, num_heads=2, mlp_dim=32)
    config.batch_size, config.eval_batch_size = 8, 8
    config.crop_frames, config.buckets = 12, ()
    config.num_train_steps = 2
    config.optimizer.warmup_steps = 0
  return config


def get_sweep(name: str) -> dict[str, Any]:
  """Returns a sweep of `experiments/sweep.py`; all of them are for Emotify taggrams.

  emotify_ours_lr, emotify_baseline_lr: learning rates, to be chosen on validation.
  emotify_search: the space of `experiments/tune.py` around ours.
  emotify_faults: the baseline, ours, and the baseline with each published fault put back.
  """
  rates = {
    'emotify_ours_lr': (_EMOTIFY_OURS, (3e-3, 6e-3, 1.2e-2)),
    'emotify_baseline_lr': (_EMOTIFY_BASELINE, (2.5e-4, 5e-4, 1e-3, 2e-3)),
  }
  check_name('--sweep', name, (*rates, 'emotify_search', 'emotify_faults'))
  if name in rates:
    fixed, values = rates[name]
    return {'fixed': _EMOTIFY | fixed, 'grid': {'optimizer.learning_rate': values}}
  if name == 'emotify_search':
    space = {
      'optimizer.learning_rate': ('log_uniform', 1e-3, 2e-2),
      'optimizer.weight_decay': ('log_uniform', 1e-2, 1.0),
      'model.width': [32, 64, 128],
      'model.head_dropout': ('uniform', 0.1, 0.6),
      'augment.mixup.probability': ('uniform', 0.0, 1.0),
      'loss.gamma_neg': ('uniform', 0.0, 4.0),
    }
    return {'fixed': _EMOTIFY | _EMOTIFY_OURS, 'random': space, 'num_rows': 20, 'seed': 0}
  rows = {'baseline': _EMOTIFY_BASELINE, 'ours': _EMOTIFY_OURS}
  rows |= {fault: _EMOTIFY_BASELINE | fields for fault, fields in _FAULTS.items()}
  return {'fixed': _EMOTIFY, 'rows': rows}


# 315 tracks of 8 to 20 frames: the same few updates for all, and models that fit them.
_EMOTIFY = {
  'normalize': 'per_feature',
  'buckets': (),
  'batch_size': 32,
  'num_train_steps': 120,
  'eval_every_steps': 120,
  'report_checkpoint': 'latest',  # Some 60 tracks that validate are too few to pick one by.
}
_EMOTIFY_OURS = {
  'model.width': 64,
  'model.num_layers': 1,
  'model.num_heads': 2,
  'model.mlp_dim': 128,
  'optimizer.learning_rate': 6e-3,
  'optimizer.warmup_steps': 20,
  'optimizer.weight_decay': 0.1,
  'ema_decay': 0.95,
  'loss.gamma_neg': 1.0,
  'loss.clip': 0.0,
}
_EMOTIFY_BASELINE = {'variant': 'baseline', 'accumulate': 1, 'optimizer.learning_rate': 5e-4}

# Of the published recipe, each of them a switch of its own.
_FAULTS = {
  'dropout_of_tracks': {'model.drop_examples': True},
  'optimizer_anew': {'optimizer.name': 'adamw_forgetful'},
  'no_masks': {'model.masked': False},
  # Masks keep noise on padding from everything: it tells only without them.
  'no_masks_noise': {'model.masked': False, 'augment.gaussian_noise.on_padding': True},
}


def _baseline(config: ConfigDict) -> ConfigDict:
  config.batch_size = 320
  config.accumulate = 10
  config.num_epochs = 10.0
  config.model = dict(
    name='conv_transformer',
    width=0,  # of the model; 0: the input's
    num_layers=1,
    num_heads=4,
    mlp_dim=2048,
    branches=((7, 5, 5), (5, 3, 3), (3, 3, 3), (1,)),  # kernel sizes of each conv branch
    head_dim=768,
    dropout=0.1,  # inside the encoder
    head_dropout=0.5,  # on the concatenated maxima
  )
  config.loss = dict(name='bce', label_smoothing=0.0)
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-4
  config.optimizer.weight_decay = 0.01
  config.optimizer.schedule = 'exponential'
  config.optimizer.decay_rate = 0.97
  config.augment.gaussian_noise = dict(sigma=0.05)  # on the embeddings
  return config
