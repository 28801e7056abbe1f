"""Damages audio files in every way, over and over, and looks at what is decoded from them.

  python -m experiments.soak.audio --files=2000 [--data_dir=DIR]

Clips of recordings (of --data_dir, else synthesised) in 14 kinds of WAV, FLAC, Ogg and MP3 are
damaged, in one of 16 ways or not at all, drawn from --seed, and given to `musicjax.audio.io` in
worker processes that may take 20 s and 512 MiB a file. Right is one clear line, or samples that are

  finite, and no louder than what the format can hold;
  at the file's own rate the samples that soundfile gives for it in one read;
  as many as the header says, which is read here once more: of what was cut off nothing is decoded;
  those from before the damage, where it left them alone or they have a checksum;
  at another rate as many as that rate makes of them.

Writes audio.md; keeps what was not right in --keep; exit code 1 if there is any.
"""

import itertools
import multiprocessing
import os
import queue
import resource
import struct
import sys
import tempfile
import threading
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
import tqdm
from absl import app, flags

from experiments.benchmarks import machine
from experiments.soak import damage
from musicjax.audio import io
from musicjax.errors import DataError

FLAGS = flags.FLAGS
flags.DEFINE_integer('files', 2000, 'How many are damaged.')
flags.DEFINE_integer('seed', 0, 'Of the damage.')
flags.DEFINE_string('data_dir', '', 'Folder of recordings, at any depth; empty: synthesised.')
flags.DEFINE_string('keep', '', 'Folder for files that were not decoded as they should be.')

_SECONDS, _MEMORY = 20, 512 << 20  # A file.
_OTHER_RATE = 22050
_CLIPS = 3
# Name, soundfile's arguments, rate, channels.
_FORMATS = (
  ('16.wav', dict(subtype='PCM_16'), 16000, 1),
  ('24.wav', dict(subtype='PCM_24'), 44100, 2),
  ('u8.wav', dict(subtype='PCM_U8'), 8000, 1),
  ('float.wav', dict(subtype='FLOAT'), 16000, 2),
  ('double.wav', dict(subtype='DOUBLE'), 11025, 1),
  ('ulaw.wav', dict(subtype='ULAW'), 8000, 1),
  ('adpcm.wav', dict(subtype='IMA_ADPCM'), 22050, 1),
  ('surround.wav', dict(format='WAVEX', subtype='PCM_16'), 48000, 6),
  ('16.flac', dict(subtype='PCM_16'), 44100, 2),
  ('24.flac', dict(subtype='PCM_24'), 16000, 1),
  ('vorbis.ogg', dict(subtype='VORBIS'), 44100, 2),
  ('opus.ogg', dict(subtype='OPUS'), 48000, 1),
  ('stereo.mp3', dict(), 44100, 2),
  ('mono.mp3', dict(), 22050, 1),
)
_RIGHT = ('as before', 'as soundfile', 'one line')


def main(argv):
  del argv
  described = machine.describe()
  results, wrong = [], []
  with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)
    bases = _make_bases(home)
    numbers = queue.SimpleQueue()
    for number in range(FLAGS.files):
      numbers.put(number)
    with tqdm.tqdm(total=FLAGS.files, unit=' files') as bar:
      threads = [
        threading.Thread(target=_feed, args=(bases, home, numbers, results, bar))
        for _ in range(os.cpu_count())
      ]
      for thread in threads:
        thread.start()
      for thread in threads:
        thread.join()
    results.sort()
    for number, base, kind, outcome, told in results:
      if outcome not in _RIGHT:
        wrong.append((number, base, kind, outcome, told))
        if FLAGS.keep:
          Path(FLAGS.keep).mkdir(parents=True, exist_ok=True)
          path, _, _ = damage.write(bases, FLAGS.seed, number, Path(FLAGS.keep))
          print(path)
  _write(results, wrong, described)
  sys.exit(1 if wrong or len(results) < FLAGS.files else 0)


def _make_bases(home: Path) -> list[Path]:
  """Writes clips of 0.5 to 2 s in all formats, and the samples they decode to as .npy beside."""
  rng = np.random.default_rng(FLAGS.seed)
  recordings = []
  if FLAGS.data_dir:
    found = sorted(p for p in Path(FLAGS.data_dir).rglob('*') if p.suffix in io.EXTENSIONS)
    recordings = [found[i] for i in rng.permutation(len(found))[: 4 * _CLIPS]]
  clips = [soundfile.read(path, dtype='float32', always_2d=True)[0].mean(1) for path in recordings]
  clips = [clip for clip in clips if np.abs(clip).max() > 0.05]
  while len(clips) < _CLIPS:
    time = np.arange(96000) / 48000
    pitches = rng.uniform(80, 4000, (5, 1))
    clips.append(0.1 * np.sin(2 * np.pi * pitches * time).sum(0) + rng.normal(0, 0.02, len(time)))
  paths = []
  for (name, arguments, rate, channels), clip in itertools.product(_FORMATS, range(_CLIPS)):
    samples = clips[clip % len(clips)][: int(rate * rng.uniform(0.5, 2))]
    stereo = np.stack([np.roll(samples, 7 * c) * 0.9 for c in range(channels)], axis=1)
    path = home / f'clip_{clip}_{name}'
    soundfile.write(path, stereo, rate, **arguments)
    paths.append(path)
  for number, path in enumerate(recordings[:_CLIPS]):  # As somebody else encoded them.
    paths.append(home / f'recording_{number}{path.suffix}')
    paths[-1].write_bytes(path.read_bytes()[: 1 << 20])
  for path in paths:
    np.save(f'{path}.npy', _decode(path)[0])
  return paths


def _feed(bases, home: Path, numbers: queue.SimpleQueue, results: list, bar: tqdm.tqdm) -> None:
  """Gives files to a process, and starts another where it hangs or dies."""
  context = multiprocessing.get_context('spawn')
  process = None
  while True:
    try:
      number = numbers.get_nowait()
    except queue.Empty:
      break
    if process is None:
      pipe, theirs = context.Pipe()
      process = context.Process(target=_work, args=(theirs, bases, FLAGS.seed, home), daemon=True)
      process.start()
      theirs.close()
      pipe.recv()  # Ready: what imports take is no file's time.
    pipe.send(number)
    path, base, kind = damage.write(bases, FLAGS.seed, number, home, only_name=True)
    try:
      if pipe.poll(_SECONDS):
        outcome, told = pipe.recv()
      else:
        outcome, told = 'hang', f'more than {_SECONDS} s'
    except (EOFError, ConnectionError):
      process.join()
      outcome, told = 'crash', f'exit code {process.exitcode}'
    if outcome in ('hang', 'crash'):
      process.kill()
      process = None
    path.unlink(missing_ok=True)
    results.append((number, base.name, kind, outcome, told))
    bar.update()
  if process is not None:
    process.kill()


def _work(pipe, bases: list[Path], seed: int, home: Path) -> None:
  """Says how each file was decoded: (outcome, what is wrong)."""
  originals = {path: np.load(f'{path}.npy', allow_pickle=False) for path in bases}
  pages = int(Path('/proc/self/statm').read_text().split()[0])
  limit = pages * os.sysconf('SC_PAGE_SIZE') + _MEMORY
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  pipe.send('ready')
  while True:
    try:
      number = pipe.recv()
    except EOFError:
      return
    path, base, kind = damage.write(bases, seed, number, home)
    try:
      pipe.send(_judge(path, kind, originals[base]))
    except Exception:
      pipe.send(('exception', traceback.format_exc().strip().splitlines()[-1]))


def _judge(path: Path, kind: str, original: np.ndarray) -> tuple[str, str]:
  try:
    other = np.concatenate(list(io.blocks(path, _OTHER_RATE)))
  except DataError as error:
    return _judge_line(path, str(error), kind)
  reference, rate = _decode(path)
  found = io.load(path, rate)
  with soundfile.SoundFile(path) as file:
    loudest = {'FLOAT': 2.0**31, 'DOUBLE': 2.0**31}.get(file.subtype, 8.0)
    described = f'{file.format} {file.subtype} {file.channels} x {file.frames} at {rate}'
  for samples in (found, other):
    if samples.dtype != np.float32 or samples.ndim != 1 or not len(samples):
      return 'garbage', f'{described}: {samples.dtype} {samples.shape}'
    if not np.isfinite(samples).all() or np.abs(samples).max() > 1.1 * loudest:
      return 'garbage', f'{described}: up to {np.abs(samples).max():g}'
  if abs(len(other) - len(found) * _OTHER_RATE / rate) > 1:
    return 'garbage', f'{described}: {len(other)} samples of {len(found)} at {_OTHER_RATE} Hz'
  promised = _promised_samples(path.read_bytes())
  if promised is not None and promised != len(found):
    return 'length', f'{described}: {len(found)} samples, the header says {promised}'
  if not _same(found, reference):
    return 'not as soundfile', f'{described}: {len(found)} samples and {len(reference)}'
  if _same(found, original):
    return 'as before', ''
  if damage.is_harmless(path, kind) or file.format in ('FLAC', 'OGG'):
    return 'garbage', f'{described}: other samples than before, {len(original)}'
  if kind == 'cut' and promised is not None:
    return 'garbage', f'{described}: samples of a file that was cut'
  return 'as soundfile', ''


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
  """Whether two arrays differ by the order of a sum over channels alone."""
  tolerance = 1e-6 * max(1.0, np.abs(expected).max(initial=0))
  return len(found) == len(expected) and np.abs(found - expected).max() <= tolerance


def _judge_line(path: Path, line: str, kind: str) -> tuple[str, str]:
  if not line.startswith(f'{path}: expected ') or not line.isprintable() or len(line) > 500:
    return 'unclear line', line
  return ('lost', line) if damage.is_harmless(path, kind) else ('one line', line)


def _decode(path: Path) -> tuple[np.ndarray, int]:
  """Returns what soundfile gives for a file in one read, mixed down, and its rate."""
  with soundfile.SoundFile(path) as file:
    file.seekable = lambda: False  # Else it seeks behind a read, and may fail at that alone.
    samples = file.read(min(file.frames, 1 << 24), dtype='float32', always_2d=True)
    return samples.mean(axis=1, dtype=np.float64).astype(np.float32), file.samplerate


def _promised_samples(data: bytes) -> int | None:
  """Returns how many samples the headers of WAV, FLAC and Vorbis promise; None of what is not."""
  if data[:4] == b'fLaC' and data[4] & 127 == 0:
    return int.from_bytes(data[18:26], 'big') & (2**36 - 1) or None
  if data[:4] == b'OggS' and data[29:35] == b'vorbis':
    # Of the first stream; another one behind it is not decoded.
    last = data.rfind(data[14:18])
    return struct.unpack('<q', data[last - 8 : last])[0]
  if data[:4] == b'RIFF' and data[8:12] == b'WAVE':
    at, block = 12, None
    while at + 8 <= len(data):
      name, size = struct.unpack('<4sI', data[at : at + 8])
      if name == b'fmt ' and size >= 16:
        tag, _, _, _, block = struct.unpack('<HHIIH', data[at + 8 : at + 22])
        if tag not in (1, 3, 7, 0xFFFE):  # Of others a block is not a sample.
          return None
      if name == b'data':
        # Other sizes are of writers that could not know it.
        return size // block if block and 0 < size < 0x7FFF0000 else None
      at += 8 + size + size % 2
  return None


def _write(results: list[tuple], wrong: list[tuple], described: str) -> None:
  outcomes = [*_RIGHT, *sorted({outcome for *_, outcome, _ in results} - set(_RIGHT))]
  by_kind, by_base = Counter(), Counter()
  for _, base, kind, outcome, _ in results:
    by_kind[kind, outcome] += 1
    by_base[base.split('_')[-1] if base[0] == 'c' else 'recordings', outcome] += 1
  rows = [('damage', 'files', *outcomes)]
  for counts in (by_kind, by_base):
    for name in sorted({name for name, _ in counts}):
      row = [counts[name, outcome] for outcome in outcomes]
      rows.append((name, sum(row), *(number or '' for number in row)))
  total = [sum(by_kind[kind, outcome] for kind in damage.KINDS) for outcome in outcomes]
  rows.append(('all', sum(total), *(number or '' for number in total)))
  for number, base, kind, outcome, told in wrong:
    print(number, base, kind, outcome, told)
  data = ' --data_dir=DIR' if FLAGS.data_dir else ''
  machine.write_table(
    Path(__file__).with_name('audio.md'),
    'Damaged audio files',
    f'`python -m experiments.soak.audio --files={FLAGS.files} --seed={FLAGS.seed}{data}`; '
    f'{described}.\n\n'
    f'{len(results) - len(wrong)} of {len(results)} files gave the samples from before the damage, '
    'what soundfile gives for them\n(samples of WAV and MP3 have no checksums), or one line; none '
    f'may crash, hang for {_SECONDS} s, take\n{_MEMORY >> 20} MiB, or give samples that are not '
    'finite, too loud, or not as many as the header says.\nFirst by damage, then by format.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
