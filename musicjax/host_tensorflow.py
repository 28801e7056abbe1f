"""TensorFlow, which reads data and writes summaries on the host alone.

It takes a second to import: what a start can do before, it does.
"""

import tensorflow as tf

tf.config.set_visible_devices([], 'GPU')  # The accelerator is JAX's.
