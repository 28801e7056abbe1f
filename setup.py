"""Installs musicjax: `pip install -e .[test]`."""

from setuptools import find_packages, setup

TEST = ['hypothesis', 'optuna>=4', 'pytest>=8', 'pytest-timeout>=2.3']

setup(
  name='musicjax',
  version='0.1.0',
  description='Music tagging systems in JAX/Flax on one deterministic train loop.',
  license='Apache-2.0',
  packages=find_packages(include=['musicjax', 'musicjax.*']),
  python_requires='>=3.11',
  install_requires=[
    'absl-py',
    'array_record>=0.8',  # Imported by TFDS only where it is installed.
    'clu>=0.0.12',
    'filelock>=3.12',
    'flax>=0.12',
    'importlib_resources',  # TFDS imports it and does not ask for it.
    'jax>=0.10',
    'librosa>=0.11',
    'matplotlib',
    'ml-collections>=1.0',
    'numpy>=2.0',
    'optax>=0.2.6',
    'orbax-checkpoint>=0.12',
    'pandas>=2.2',
    'pillow>=11.0',
    'pyarrow>=17.0',
    'scikit-learn>=1.6',
    'scipy>=1.13',
    'soundfile>=0.13',
    'soxr>=0.5',
    'tensorboard>=2.20',  # clu imports it; TensorFlow no longer installs it.
    'tensorflow-cpu>=2.20; sys_platform == "linux" and platform_machine == "x86_64"',
    'tensorflow>=2.20; sys_platform != "linux" or platform_machine != "x86_64"',
    'tensorflow-datasets>=4.9.10',
    'tqdm',
  ],
  extras_require={
    'test': TEST,
    'dev': [*TEST, 'pre-commit', 'ruff>=0.9'],
    'beam': ['apache-beam', 'mlcroissant'],  # TFDS's command line imports the second, unasked.
    'tune': ['optuna>=4'],
    'cuda': ['jax[cuda13]'],
    'tpu': ['jax[tpu]'],
  },
)
