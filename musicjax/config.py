"""The fields that every system's config shares, with their defaults.

A system's config starts from `base_config()` and overrides what its paper says. Fields whose
default is empty (`model`, `loss`, ...) are filled by the system. What a field may be stands below
them, in a table; `check` holds a config against it, without importing anything slow.
"""

import fnmatch
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from musicjax.errors import ConfigError
from musicjax.fields import flatten, unknown_field

Check = tuple[Callable[[Any], bool], str]  # of a value, and in words


def base_config() -> ConfigDict:
  """Returns a config with every shared field set; systems override and add to it."""
  config = ConfigDict()

  config.seed = 0  # initialisation, batch order, crops, augmentation and dropout
  # What a row of labels means (musicjax/tasks.py): multi_label, single_label, feature_regression.
  config.task = 'multi_label'
  config.target_scale = 'natural'  # standard or bounded: of a regression (musicjax/targets.py)

  # Data.
  config.dataset = dict(name='')  # a module of musicjax/data/builders, and its fields
  config.data_dir = ''  # folder of the raw files
  config.prepared_dir = ''  # where prepared shards are kept; empty: TFDS's own ($TFDS_DATA_DIR)
  config.on_bad_example = 'fail'  # or skip: leave broken files out, listed in skipped.csv
  config.max_skipped = 0.1  # share of the examples that skip may leave out
  config.decode_seconds = 60.0  # a file that takes longer to decode is a bad one
  config.num_folds = 5  # group-disjoint parts of the data
  config.fold = 0  # the test fold, the next one validates; or, beside a test set, validation
  config.split_seed = 0  # fixes which group falls into which fold
  config.normalize = 'none'  # or per_feature: by mean and deviation of the training fold
  config.resident = False  # the dataset stays in device memory, a batch is gathered, not uploaded

  # Batches.
  config.batch_size = 32  # examples an optimizer update, over all devices
  config.accumulate = 1  # micro-batches an update; the gradient is that of them all
  config.crop_frames = 0  # random span of this many frames in training; 0: whole examples
  config.buckets = ()  # padded lengths, ascending; empty: always the longest example's
  config.bucket_window = 64  # steps whose examples are sorted by length together
  config.eval_crop_frames = 0  # scores are means over spans of so many frames; 0: of whole examples
  config.eval_average = 'arithmetic'  # or geometric: mean of a track's scores
  config.eval_batch_size = 256  # examples an evaluation step, over all devices

  # Duration, in optimizer updates.
  config.num_epochs = 10.0  # passes over the training fold
  config.num_train_steps = 0  # overrides num_epochs where it is not 0
  config.eval_every_steps = 0  # 0: once an epoch
  config.log_every_steps = 20  # scalars to TensorBoard, a line to the terminal

  # Model and optimisation.
  config.front_end = dict(name='')  # of musicjax/audio/front_ends.py; empty: inputs as stored
  config.model = dict(name='')  # a module of musicjax/models, and its fields
  config.pretrained = ''  # .npz of weights to start from (musicjax/models/pretrained.py)
  config.frozen = ()  # patterns of outermost layers that keep these, and run as in evaluation
  config.dtype = 'float32'  # or bfloat16: of the computation; parameters stay float32
  config.loss = dict(name='')  # a function of musicjax/losses.py, and its fields
  config.penalties = ConfigDict()  # what the model costs, by name: its weight and warmup_steps
  config.optimizer = dict(
    name='adamw',  # adamw, adam, lion or sgd; adamw_forgetful: a published fault
    learning_rate=1e-4,  # peak
    schedule='constant',  # constant, cosine or exponential
    warmup_steps=0,  # linear, from 0
    decay_rate=1.0,  # exponential: factor an epoch
    weight_decay=0.01,  # decoupled, times the learning rate
    decay='all',  # all parameters as PyTorch does, or kernels alone
    b1=0.9,  # first moment
    b2=0.999,  # second moment
    clip_norm=0.0,  # by global norm; 0: off
  )
  config.augment = ConfigDict()  # names of musicjax/audio/augment.py, and their fields
  config.ema_decay = 0.0  # of parameters and batch statistics, used to evaluate; 0: off
  config.plateau = dict(
    factor=1.0,  # learning rate factor when validation stops improving; 1: off
    patience=5,  # evaluations without improvement before that
  )
  config.early_stopping = 0  # evaluations without improvement before the end; 0: off

  # Selection and reporting.
  config.select_metric = 'map_macro'  # on validation, the larger the better; chooses `best`
  config.report_checkpoint = 'best'  # or latest: whose scores the report holds, and that predicts
  config.profile_steps = (0, 0)  # first and last step of a trace for TensorBoard; (0, 0): none
  return config


def _whole(low: int, words: str, high: int = 2**31 - 1) -> Check:
  return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high, words


def _number(words: str, test: Callable[[float], bool] = lambda v: True) -> Check:
  def check(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Finite in float32; NaN is not below.
    return is_number and abs(value) <= 3.4e38 and test(value)

  return check, words


def _one_of(*names: str) -> Check:
  return lambda v: isinstance(v, str) and v in names, f'one of {", ".join(names)}'


def _tuple_of(check: Check, words: str, test: Callable[[Any], bool] = lambda v: True) -> Check:
  # A config read back from JSON holds lists.
  return lambda v: isinstance(v, tuple | list) and all(map(check[0], v)) and test(v), words


def _is_plain(value: Any) -> bool:
  if isinstance(value, tuple | list):
    return all(map(_is_plain, value))
  return isinstance(value, bool | str) or _number('')[0](value)


def _ascending(values: Any) -> bool:
  return all(a < b for a, b in itertools.pairwise(values))


_POSITIVE = _whole(1, 'a positive whole number below 2^31')
_COUNT = _whole(0, 'a whole number in 0..2^31 - 1')
_SEED = _whole(0, 'a whole number in 0..2^32 - 1', 2**32 - 1)
_ABOVE_0 = _number('a positive number below 3.4e38', lambda v: v > 0)
_FROM_0 = _number('a number in 0..3.4e38', lambda v: v >= 0)
_PROBABILITY = _number('a number in [0, 1]', lambda v: 0 <= v <= 1)
_DECAY = _number('a number in [0, 1)', lambda v: 0 <= v < 1)
_FACTOR = _number('a number in (0, 1]', lambda v: 0 < v <= 1)
_FLAG = (lambda v: isinstance(v, bool), 'true or false')
_TEXT = (lambda v: isinstance(v, str) and '\0' not in v, 'a text')
_NAME = (lambda v: isinstance(v, str) and v != '', 'a name')
_SIZES = _tuple_of(_POSITIVE, 'a tuple of positive whole numbers', bool)
_ANY = _is_plain, 'a finite number, a text, true, false or a tuple of these'

# Pattern of fields -> what they may be; the first pattern that fits counts. Which names and fields
# a model, loss, ... has is checked where it lives.
_CHECKS = {
  '*seed': _SEED,
  'on_bad_example': _one_of('fail', 'skip'),
  'max_skipped': _PROBABILITY,
  'decode_seconds': _ABOVE_0,
  'num_folds': _whole(3, 'a whole number from 3 (test, validation, training)'),
  'fold': _COUNT,
  'resident': _FLAG,
  'normalize': _one_of('none', 'per_feature'),
  'batch_size': _POSITIVE,
  'accumulate': _POSITIVE,
  'crop_frames': _COUNT,
  'buckets': _tuple_of(_POSITIVE, 'ascending positive whole numbers', _ascending),
  'bucket_window': _POSITIVE,
  'eval_crop_frames': _COUNT,
  'eval_average': _one_of('arithmetic', 'geometric'),
  'eval_batch_size': _POSITIVE,
  'num_epochs': _FROM_0,
  'num_train_steps': _COUNT,
  'eval_every_steps': _COUNT,
  'log_every_steps': _POSITIVE,
  'optimizer.learning_rate': _FROM_0,
  'optimizer.warmup_steps': _COUNT,
  'optimizer.decay_rate': _FACTOR,
  'optimizer.weight_decay': _FROM_0,
  'optimizer.b[12]': _DECAY,
  'optimizer.clip_norm': _FROM_0,
  'ema_decay': _DECAY,
  'plateau.factor': _FACTOR,
  'plateau.patience': _COUNT,
  'early_stopping': _COUNT,
  'report_checkpoint': _one_of('best', 'latest'),
  'profile_steps': _tuple_of(
    _COUNT,
    'the first and the last step, or (0, 0)',
    lambda v: len(v) == 2 and (0 < v[0] <= v[1] or not any(v)),
  ),
  '*_dir': _TEXT,
  'front_end.name': _TEXT,
  'front_end.n_*': _POSITIVE,
  'front_end.*_length': _POSITIVE,
  'front_end.f*': _FROM_0,
  'front_end.window': _one_of('hann', 'hamming', 'blackman'),
  'front_end.center': _FLAG,
  'front_end.top_db': _ABOVE_0,
  'front_end.scale': _ABOVE_0,
  'front_end.gain': _FROM_0,
  'front_end.bias': _FROM_0,
  'front_end.exponent': _FROM_0,
  'front_end.time_constant': _ABOVE_0,
  'front_end.eps': _ABOVE_0,
  'front_end.mel_scale': _one_of('slaney', 'htk'),
  'pretrained': _TEXT,
  'frozen': _tuple_of(_NAME, 'a tuple of names'),
  'dtype': _NAME,
  'task': _NAME,
  'target_scale': _NAME,
  'select_metric': _NAME,
  '*.name': _NAME,
  'optimizer.*': _NAME,
  'dataset.num_*': _POSITIVE,
  'dataset.image_size': _whole(16, 'a whole number in 16..1024', 1024),
  'dataset.sample_rate': _whole(1000, 'a whole number in 1000..768000', 768_000),
  'dataset.channels': _one_of('average', 'left'),
  'dataset.*seconds': _ABOVE_0,
  'dataset.n_*': _POSITIVE,
  'dataset.hop_length': _POSITIVE,
  'dataset.mel_scale': _one_of('slaney', 'htk'),
  'dataset.trim_db': _FROM_0,
  'dataset.unverified_weight': _FROM_0,
  'dataset.pattern': _TEXT,
  'dataset.table': _TEXT,
  'dataset.label_map': _TEXT,
  'model.width': _COUNT,
  'model.num_*': _POSITIVE,
  'model.*_dim': _POSITIVE,
  'model.temporal_frames': _SIZES,
  'model.timbral_bands': _SIZES,
  'model.*_frames': _POSITIVE,
  'model.*_channels': _POSITIVE,
  'model.pool': _POSITIVE,
  'model.channels': _SIZES,
  'model.pooling': _tuple_of(_NAME, 'a tuple of names', bool),
  'model.attention': (lambda v: isinstance(v, bool | str), 'true, false or a name'),
  'model.standardize': _FLAG,
  'model.masked': _FLAG,
  'model.drop_examples': _FLAG,
  'model.branches': _tuple_of(_SIZES, 'a tuple of tuples of positive whole numbers', bool),
  '*dropout': _PROBABILITY,
  'loss.label_smoothing': _PROBABILITY,
  'loss.clip': _PROBABILITY,
  'loss.gamma*': _FROM_0,
  'loss.alpha': _PROBABILITY,
  'loss.pos_weight': _FLAG,
  'penalties.*.weight': _FROM_0,
  'penalties.*.warmup_steps': _COUNT,
  'penalties*': (lambda v: isinstance(v, Mapping), 'fields'),
  'augment.*.alpha': _ABOVE_0,
  'augment.*.probability': _PROBABILITY,
  'augment.blur.sigma': _ABOVE_0,
  'augment.*.sigma': _FROM_0,
  'augment.*.*_area': _PROBABILITY,
  'augment.*.*_share': _PROBABILITY,
  'augment.*.frames': _POSITIVE,
  'augment.*.max_db': _number('a number in 0..200', lambda v: 0 <= v <= 200),
  'augment.*.wrap': _FLAG,
  'augment.*.on_padding': _FLAG,
  'augment.*.*_width': _COUNT,
  'augment.*.*_masks': _COUNT,
  'augment.*.max_degrees': _number('a number in 0..180', lambda v: 0 <= v <= 180),
  'augment.*.*_zoom': _ABOVE_0,
  'augment.*.low': _FROM_0,
  'augment.*.high': _FROM_0,
  'augment.*.amount': _FROM_0,
  'augment.*.max_ratio': _number('a number from 1', lambda v: v >= 1),
  'augment.*.fill': _one_of('mean', 'zero'),
  'augment.*.brightness': _FROM_0,
  'augment.*.contrast': _FROM_0,
  'augment.*.*': _ANY,
  'augment*': (lambda v: isinstance(v, Mapping), 'fields'),
  '*': _ANY,
}


def check(config: ConfigDict) -> None:
  """Refuses a config that no machine and no data could make valid.

  Raises:
    ConfigError: a field is missing, unknown, of another type or out of its range.
  """
  fields, shared = flatten(config.to_dict()), flatten(base_config().to_dict())
  # Systems add fields to these.
  groups = ('dataset.', 'front_end.', 'model.', 'loss.', 'penalties.', 'augment.')
  for path in shared:
    if path not in fields and not path.startswith(('augment', 'penalties')):
      raise ConfigError(f'config.{path}: expected a value, found none')
  for path, value in fields.items():
    if path not in shared and not path.startswith(groups):
      raise unknown_field(path, shared)
    test, words = _CHECKS[pattern_of(path)]
    if not test(value):
      raise ConfigError(f'config.{path}: expected {words}, found {value!r:.80}')

  if config.frozen and not config.pretrained:
    raise ConfigError(
      'config.pretrained: expected weights of the layers that config.frozen keeps, found none'
    )
  if config.fold >= config.num_folds:
    raise ConfigError(f'config.fold: expected 0..{config.num_folds - 1}, found {config.fold}')
  if config.batch_size % config.accumulate:
    raise ConfigError(
      f'config.batch_size: expected a multiple of accumulate ({config.accumulate}), '
      f'found {config.batch_size}'
    )
  if not config.num_train_steps and not config.num_epochs:
    raise ConfigError('config.num_epochs: expected more than 0 without num_train_steps, found 0')


def pattern_of(path: str) -> str:
  """Returns the pattern of the table that decides on a field."""
  return next(pattern for pattern in _CHECKS if fnmatch.fnmatchcase(path, pattern))
