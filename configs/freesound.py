"""Freesound audio tagging (FSDKaggle2018): one label a clip, from waveforms of 0.3 to 30 s.

  python -m musicjax.main --config=configs/freesound.py --workdir=W --config.data_dir=FOLDER
  python -m musicjax.main --workdir=W --mode=predict --config.data_dir=FOLDER  # submission.csv
  python -m musicjax.main --workdir=W --mode=predict --inputs=a.wav,folder/

FOLDER is the competition's, or the release after it, whose scored test clips are then the test set
(musicjax/data/freesound.py); or it holds any clips in a sub-folder a label, as ESC, whose folds are
found by --config.dataset.pattern='(?P<fold>\\d)-(?P<group>\\d+)-'. Clips are stored as 16-bit
integers; what the network sees is computed in the jitted step. Training takes random crops,
evaluation and prediction whole clips.

Variants:
  (none)    ours: residual CNN on log-mel normalised a band, silence trimmed, random crops, mixup,
            SpecAugment, weights for unverified labels, cosine schedule, EMA.
  baseline  published: amplitude and phase of an STFT, three convolutions of 3 x 11, crops of 8,000
            samples. It was validated on crops of a random third; here on whole clips of one of 5
            folds. Its learning rate, x 0.99 every 10,000 steps, first fell behind the last step:
            here it is constant. MAP@3 0.40 (validation) and 0.538 (public).
  test      tiny, compiles in seconds; takes two steps.
"""

from typing import Any

from ml_collections import ConfigDict

from musicjax.config import base_config
from musicjax.fields import check_name


def get_config(variant: str = '') -> ConfigDict:
  """Returns the config of a variant."""
  check_name('variant', variant, ('', 'baseline', 'test'))
  config = base_config()
  config.task = 'single_label'
  config.select_metric = 'map_at_3'
  config.dataset = dict(
    name='waveforms',
    sample_rate=32000,  # Hz, of what is stored
    channels='average',  # or left, of stereo
    max_seconds=30.0,  # longer clips end there
    trim_db=60.0,  # silence at both ends, so far below the loudest, is cut off; 0: kept
    unverified_weight=0.5,  # in the training loss, of Freesound's clips that nobody listened to
    pattern='',  # with groups fold and group, of a file's path: official folds
    table='',  # CSV or Parquet instead: path, tags[, group, fold, split, weight]
    label_map='',  # JSON object, or CSV with raw, label: from labels of the data to those learnt
  )
  config.loss = dict(name='softmax_cross_entropy', label_smoothing=0.0)
  if variant == 'baseline':
    return _published(config)

  config.front_end = dict(
    name='log_mel',
    n_fft=1024,  # samples of a frame
    hop_length=640,  # samples between frames: 50 a second
    n_mels=64,  # bands
    fmin=30.0,  # Hz, lowest frequency of the bands
  )
  config.normalize = 'per_feature'
  config.crop_frames = 96000  # samples: 3 s
  config.buckets = (32000, 64000, 96000, 160000, 320000)  # samples
  config.batch_size = 32
  config.eval_batch_size = 16
  config.num_epochs = 60.0
  config.eval_every_steps = 250
  config.report_checkpoint = 'latest'
  config.model = dict(
    name='short_chunk_cnn',
    channels=(16, 32, 32, 64, 64, 128),  # of blocks that halve time and bands: 6 for 64 bands
    head_dim=128,
    head_dropout=0.5,
  )
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.decay = 'kernels'
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 40
  config.optimizer.clip_norm = 1.0
  config.augment.mixup = dict(
    alpha=0.3,  # of the Beta distribution of the weights
    probability=0.5,  # of an example to be mixed
  )
  config.augment.spec_augment = dict(
    time_width=30,  # most frames of a span
    mel_width=12,  # most bands of a span
    time_masks=2,
    mel_masks=2,
    time_share=0.3,  # most of a clip's frames that a span has
  )
  config.ema_decay = 0.99

  if variant == 'test':
    config.dataset.sample_rate = 8000
    config.front_end.update(n_fft=256, hop_length=160, n_mels=16)
    config.crop_frames, config.buckets = 2000, (4000,)
    config.model.update(channels=(4, 8), head_dim=8)
    config.augment.spec_augment.update(time_width=4, mel_width=4)
    config.batch_size, config.eval_batch_size = 8, 8
    config.num_train_steps = 2
    config.optimizer.warmup_steps = 0
  return config


def _published(config: ConfigDict) -> ConfigDict:
  config.dataset.sample_rate = 44100
  config.dataset.trim_db = 0.0
  config.dataset.unverified_weight = 1.0
  config.front_end = dict(
    name='amplitude_phase',
    n_fft=512,  # samples that are transformed
    win_length=400,  # samples of a frame
    hop_length=160,  # samples between frames
  )
  config.crop_frames = 8000  # samples: 0.18 s
  config.buckets = (44100, 88200, 176400, 352800, 705600)  # samples
  config.batch_size = 32
  config.eval_batch_size = 8
  config.num_train_steps = 10_000
  config.eval_every_steps = 500
  config.model = dict(
    name='amplitude_phase_cnn',
    channels=(16, 32, 64),  # of the convolutions
    dropout=0.1,  # before each convolution
    head_dropout=0.2,
  )
  config.optimizer.name = 'adam'
  config.optimizer.learning_rate = 3e-4
  config.optimizer.weight_decay = 0.0
  config.optimizer.clip_norm = 15.0
  return config


def get_sweep(name: str) -> dict[str, Any]:
  """Returns the sweep `ablation` of `experiments/sweep.py`: ours, and one change at a time."""
  check_name('--sweep', name, ('ablation',))
  pcen = {'name': 'pcen_mel', 'n_fft': 1024, 'hop_length': 640, 'n_mels': 64, 'fmin': 30.0}
  rows = {
    'ours': {},
    'baseline': {'variant': 'baseline'},
    'pcen': {'front_end': pcen},
    'crops_1s': {'crop_frames': 32_000},
    'crops_5s': {'crop_frames': 160_000},
    'random_length': {'augment.random_length': {'min_share': 0.5}},  # of a crop, kept at least
    'not_trimmed': {'dataset.trim_db': 0.0},
    'no_mixup': {'augment.mixup': None},
    'no_spec_augment': {'augment.spec_augment': None},
    'no_augmentation': {'augment.mixup': None, 'augment.spec_augment': None},
    'scored_by_crops': {'eval_crop_frames': 96_000, 'eval_average': 'geometric'},
  }
  return {'rows': rows}
