"""The fields that every system's config shares, with their defaults.

A system's config starts from `base_config()` and overrides what its paper says. Fields whose
default is empty (`model`, `loss`, ...) are filled by the system.
"""

from ml_collections import ConfigDict


def base_config() -> ConfigDict:
  """Returns a config with every shared field set; systems override and add to it."""
  config = ConfigDict()

  config.seed = 0  # initialisation, batch order, crops, augmentation and dropout
  config.task = 'multi_label'  # or single_label: what a row of labels means (musicjax/tasks.py)

  # Data.
  config.dataset = dict(name='')  # a module of musicjax/data/builders, and its fields
  config.data_dir = ''  # folder of the raw files
  config.prepared_dir = ''  # where prepared shards are kept; empty: TFDS's own ($TFDS_DATA_DIR)
  config.on_bad_example = 'fail'  # or skip: leave broken files out, listed in skipped.csv
  config.max_skipped = 0.1  # share of the examples that skip may leave out
  config.decode_seconds = 60.0  # a file that takes longer to decode is a bad one
  config.num_folds = 5  # group-disjoint parts of the data
  config.fold = 0  # the test fold; the next one validates, the rest trains
  config.split_seed = 0  # fixes which group falls into which fold
  config.normalize = 'none'  # or per_feature: by mean and deviation of the training fold

  # Batches.
  config.batch_size = 32  # examples an optimizer update, over all devices
  config.accumulate = 1  # micro-batches an update; the gradient is their mean
  config.crop_frames = 0  # random span of this many frames in training; 0: whole examples
  config.buckets = ()  # padded lengths, ascending; empty: always the longest example's
  config.bucket_window = 64  # steps whose examples are sorted by length together
  config.eval_batch_size = 256  # examples an evaluation step, over all devices

  # Duration, in optimizer updates.
  config.num_epochs = 10.0  # passes over the training fold
  config.num_train_steps = 0  # overrides num_epochs where it is not 0
  config.eval_every_steps = 0  # 0: once an epoch
  config.log_every_steps = 20  # scalars to TensorBoard, a line to the terminal

  # Model and optimisation.
  config.model = dict(name='')  # a module of musicjax/models, and its fields
  config.dtype = 'float32'  # or bfloat16: of the computation; parameters stay float32
  config.loss = dict(name='')  # a function of musicjax/losses.py, and its fields
  config.optimizer = dict(
    name='adamw',  # adamw, adam, lion or sgd
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
  config.augment = ConfigDict()  # functions of musicjax/audio/augment.py, and their fields
  config.ema_decay = 0.0  # of parameters and batch statistics, used to evaluate; 0: off
  config.plateau = dict(
    factor=1.0,  # learning rate factor when validation stops improving; 1: off
    patience=5,  # evaluations without improvement before that
  )
  config.early_stopping = 0  # evaluations without improvement before the end; 0: off

  # Selection and reporting.
  config.select_metric = 'map_macro'  # on validation, the larger the better; chooses `best`
  config.report_checkpoint = 'best'  # or latest: whose scores the report holds
  config.profile_steps = (0, 0)  # first and last step of a trace for TensorBoard; (0, 0): none
  return config
