"""Sets up JAX, and TensorFlow beside it; before either is imported."""

import os

COMPILATION_CACHE = os.environ.get(
  'JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/musicjax/xla')
)


def set_up(compilation_cache: str = COMPILATION_CACHE, distributed: bool = False) -> None:
  """Makes JAX ready to compile.

  Args:
    compilation_cache: folder that keeps compiled programs for the next start; empty: none.
    distributed: join the processes of a TPU pod or a Slurm job, which JAX finds by itself.
  """
  # TensorFlow only reads data here; what it says of its own speed is of no use to anyone.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  # TensorFlow then leaves Keras alone, which nothing here uses and which takes a second to import.
  os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
  import jax
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')  # The accelerator is JAX's.
  if distributed:
    jax.distributed.initialize()
  if compilation_cache:
    jax.config.update('jax_compilation_cache_dir', compilation_cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
