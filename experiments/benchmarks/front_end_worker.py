"""Log-mel spectrograms by one library, timed in a process of its own; front_end.py starts it.

  python experiments/benchmarks/front_end_worker.py SUBJECT FOLDER

Reads FOLDER/clips.npy [clips, samples] and basis.npy, writes SUBJECT.npy [clips, frames, n_mels],
then prints the seconds of one run over all clips for every line that it reads. Imports NumPy and
the library it measures only, as that may live in another environment.
"""

import concurrent.futures
import os
import sys
import time
from pathlib import Path

import numpy as np

SETTINGS = {'sample_rate': 22050, 'n_fft': 2048, 'hop_length': 512, 'n_mels': 128}


def with_jax(clips, basis):
  del basis
  import jax

  jax.config.update('jax_platforms', 'cpu')
  from musicjax.audio.features import LogMel

  front_end = LogMel(**SETTINGS)
  return lambda: np.asarray(front_end(clips))


def with_librosa(clips, basis, threads=1):
  del basis
  import librosa

  settings = {'sr' if name == 'sample_rate' else name: SETTINGS[name] for name in SETTINGS}

  def transform(clip):
    mel = librosa.feature.melspectrogram(y=clip, **settings)
    return librosa.power_to_db(mel, top_db=None).T

  pool = concurrent.futures.ThreadPoolExecutor(threads)
  return lambda: np.stack(list(pool.map(transform, clips)))


def with_torch(clips, basis, batch=1):
  import torch

  n_fft, hop_length = SETTINGS['n_fft'], SETTINGS['hop_length']
  window, basis = torch.hann_window(n_fft), torch.from_numpy(basis)
  batches = torch.from_numpy(clips).split(batch)

  def transform(audio):
    spectrum = torch.stft(
      audio, n_fft, hop_length, window=window, pad_mode='constant', return_complex=True
    )
    power = torch.view_as_real(spectrum).square().sum(-1)
    mel = power.transpose(1, 2) @ basis
    return 10 * torch.log10(mel.clamp(min=1e-10))

  def run():
    with torch.inference_mode():
      return torch.cat([transform(audio) for audio in batches]).numpy()

  return run


SUBJECTS = {
  'musicjax': with_jax,
  'librosa': with_librosa,
  'librosa_threads': lambda clips, basis: with_librosa(clips, basis, os.cpu_count()),
  'torch': with_torch,
  'torch_batch': lambda clips, basis: with_torch(clips, basis, len(clips)),
}


def main():
  subject, folder = sys.argv[1], Path(sys.argv[2])
  clips, basis = (np.load(folder / f'{n}.npy', allow_pickle=False) for n in ('clips', 'basis'))
  run = SUBJECTS[subject](clips, basis)
  run()  # Compiles, or imports what is imported late.
  np.save(folder / f'{subject}.npy', run())
  print('ready', flush=True)
  for _ in sys.stdin:
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start, flush=True)


if __name__ == '__main__':
  main()
