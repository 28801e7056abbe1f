"""Music-Predictor (audio): labels of music files from slices of log-mel frames.

  python -m musicjax.main --config=configs/spectrogram_cnn.py --workdir=W --config.data_dir=FOLDER
  python -m musicjax.main --workdir=W --mode=predict --inputs='track.mp3,more/,list.m3u8' --slices

FOLDER holds a sub-folder a label, with WAV, FLAC, Ogg or MP3 files of any rate and length. Tracks
are split, then cut into slices of 4 s every 2 s, for musicnn of 3 s; a track's score is the mean
over its slices. Folds that come with the data are found by a pattern, ESC's with
--config.dataset.pattern='(?P<fold>\\d)-(?P<group>\\d+)-'. Several tags a file, and official splits,
come from a table (CSV or Parquet): --config.dataset.table=tags.csv --config.task=multi_label
--config.loss.name=bce --config.select_metric=map_macro. A label map makes few labels of many
(musicjax/data/listing.py): --config.dataset.label_map=genres.json.

Variants:
  (none)     ours: residual CNN on 64 bands, normalised a band, SpecAugment, mixup, cosine schedule,
             last weights of an EMA after a fixed number of epochs. Not tuned yet.
  baseline   SpectrogramCNN as published, with the asymmetric focal loss; slices are not resized to
             squares, and brightness is jittered before they are standardised. How far it was
             jittered is not known: 0.2.
  attention  the same with channel and spatial attention, pooling by 2, and cross-entropy with
             classes weighed (weighted F1 0.391 on 7 classes, on data that is not public).
  musicnn    a network trained on a large collection, fine-tuned: its weights are
             --config.pretrained=FILE.npz, which experiments/import_musicnn.py makes. The two layers
             of its head learn, all others keep theirs (accuracy 0.734 on Emotify's 4 genres).
  images     SpectrogramCNN on images of whole-track spectrograms (PNG, JPEG, WebP), cut into
             squares and projected to mel bands as published. FOLDER holds a sub-folder a label, or
             --config.dataset.table=x.parquet with the columns `image` and `text`, labels with
             spaces between. With one label an image, --config.task=single_label
             --config.select_metric=accuracy does, too. No score is known.
  test       tiny, compiles in seconds; takes two steps.
"""

from typing import Any

from ml_collections import ConfigDict

from musicjax.config import base_config
from musicjax.fields import check_name


def get_config(variant: str = '') -> ConfigDict:
  """Returns the config of a variant."""
  check_name('variant', variant, ('', 'baseline', 'attention', 'musicnn', 'images', 'test'))
  config = base_config()
  config.task = 'single_label'
  config.select_metric = 'accuracy'
  config.dataset = dict(
    name='audio',
    sample_rate=22050,  # Hz, of what is cut
    channels='average',  # or left, of stereo
    seconds=4.0,  # of a slice
    hop_seconds=2.0,  # between the starts of slices
    n_fft=2048,  # samples of a frame
    hop_length=512,  # samples between frames: 173 to a slice
    n_mels=64,  # bands
    mel_scale='slaney',  # or htk
    pattern='',  # with groups fold and group, of a file's path: official folds
    table='',  # CSV or Parquet instead of sub-folders: path, tags[, group, fold, split, weight]
    label_map='',  # JSON object, or CSV with raw, label: from labels of the data to those learnt
  )
  config.eval_batch_size = 64
  if variant in ('baseline', 'attention', 'images'):
    return _published(config, variant)

  config.dataset.hop_length = 1024  # 87 frames to a slice: half the work of 512
  config.normalize = 'per_feature'
  config.batch_size = 32
  config.num_epochs = 10.0
  config.report_checkpoint = 'latest'
  config.model = dict(
    name='short_chunk_cnn',
    channels=(16, 32, 32, 64, 64, 128),  # of blocks that halve time and bands: 6 for 64 bands
    pooling=('max', 'mean'),  # of what is left of time and bands
    head_dim=128,
    head_dropout=0.5,
  )
  config.loss = dict(name='softmax_cross_entropy', label_smoothing=0.0)
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
    time_width=40,  # most frames of a span
    mel_width=12,  # most bands of a span
    time_masks=2,
    mel_masks=2,
  )
  config.ema_decay = 0.99

  if variant == 'musicnn':
    config.dataset.sample_rate = 16000  # Hz, as all of this what the network was trained on
    config.dataset.seconds = 3.0  # of a slice
    config.dataset.hop_seconds = 3.0  # between the starts of slices
    config.dataset.n_fft = 512  # samples of a frame
    config.dataset.hop_length = 256  # samples between frames: 188 to a slice
    config.dataset.n_mels = 96  # bands
    config.normalize = 'none'
    config.num_epochs = 6.0
    config.model = dict(
      name='musicnn',
      timbral_bands=(38, 67),  # of filters of 7 frames
      timbral_channels=204,  # filters of each of these sizes
      temporal_frames=(128, 64, 32),  # of filters of one band
      temporal_channels=51,  # filters of each of these sizes
      width=64,  # of the convolutions over time that follow
      head_dim=200,
      head_dropout=0.5,
    )
    config.frozen = ('timbral_*', 'temporal_*', 'time_*', '*_norm')
  if variant == 'test':
    config.dataset.update(
      sample_rate=8000, seconds=0.5, hop_seconds=0.25, n_fft=512, hop_length=256, n_mels=16
    )
    config.model.update(channels=(4, 8), head_dim=8)
    config.augment.spec_augment.update(time_width=4, mel_width=4)
    config.batch_size, config.eval_batch_size = 8, 8
    config.num_train_steps = 2
    config.optimizer.warmup_steps = 0
  return config


def _published(config: ConfigDict, variant: str) -> ConfigDict:
  if variant == 'images':
    config.task, config.select_metric = 'multi_label', 'map_macro'
    config.dataset = dict(
      name='images',
      sample_rate=26000,  # Hz, twice the frequency of an image's upper edge
      n_fft=10000,  # samples of a frame: the rows are interpolated to its 5,001 bins
      n_mels=128,  # bands
      mel_scale='htk',  # or slaney
      num_frames=128,  # of a square, as high as the image
      pattern='',  # with groups fold and group, of a file's path: official folds
      table='',  # Parquet with image, text, or any with path, tags[, group, ...]
      label_map='',  # JSON object, or CSV with raw, label: from labels of the data to those learnt
    )
  else:
    config.dataset.update(channels='left', n_mels=128, mel_scale='htk')
  config.batch_size = 16
  config.num_epochs = 50.0
  config.model = dict(
    name='spectrogram_cnn',
    channels=(32, 64, 128),  # of the two convolutions of each block
    pool=3,  # frames and bands to one, after each block
    attention=False,  # channel, then spatial, before each pooling
    standardize=True,  # each slice to mean 0, deviation 1
    head_dim=256,
    dropout=0.5,
  )
  config.loss = dict(
    name='asymmetric_focal',
    gamma_neg=4.0,  # focusing of negatives
    gamma_pos=1.0,  # focusing of positives
    clip=0.05,  # distance of a probability from 0 and 1
  )
  config.optimizer.name = 'adamw'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 1e-4
  config.plateau.factor = 0.1
  config.augment.brightness_contrast = dict(brightness=0.2, contrast=0.2, probability=0.8)
  config.augment.gaussian_noise = dict(sigma=0.005)  # of inputs in 0..1
  config.augment.random_erasing = dict(
    probability=0.8,
    min_area=0.02,  # smallest share of a slice
    max_area=0.5,  # largest share
    max_ratio=3.3,  # of the sides
  )
  if variant == 'attention':
    config.model.update(attention=True, pool=2)
    config.loss = dict(name='bce', pos_weight=True, label_smoothing=0.0)
  return config


def get_sweep(name: str) -> dict[str, Any]:
  """Returns the sweep `ablation` of `experiments/sweep.py`: ours, and one change at a time.

  Beside them the published models with as many updates, of half as many slices, and their last
  weights.
  """
  check_name('--sweep', name, ('ablation',))
  published = {'num_epochs': 5.0, 'report_checkpoint': 'latest'}
  rows = {
    'ours': {},
    'baseline': {'variant': 'baseline', **published},
    'attention': {'variant': 'attention', **published},
    'not_normalised': {'normalize': 'none'},
    'no_augmentation': {'augment.mixup': None, 'augment.spec_augment': None},
    'focal_loss': {'loss': {'name': 'asymmetric_focal'}},
    'mean_pooling': {'model.pooling': ('mean',)},
    'bands_32': {'dataset.n_mels': 32, 'model.channels': (16, 32, 32, 64, 128)},
    'no_mixup': {'augment.mixup': None},
    'no_spec_augment': {'augment.spec_augment': None},
    'htk_scale': {'dataset.mel_scale': 'htk'},
    'hop_512': {'dataset.hop_length': 512},
  }
  return {'rows': rows}
