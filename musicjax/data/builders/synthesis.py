"""Short synthetic tracks of six genres, in numpy.

Worker processes import this module, so it imports neither JAX nor TensorFlow.

A genre is a rhythm, a range of tempi, and a way of moving through chords. How it sounds (spectra
of the instruments, their balance, decay, brightness, noise, loudness) is drawn for every track from
the same ranges, so the average spectrum of a track says little about its genre. Genres share parts
of their patterns, tempi overlap, and some tracks borrow the rhythm of another genre.
"""

import dataclasses

import numpy as np

SAMPLE_RATE = 16000  # Hz
MIN_SECONDS = 4.0
MAX_SECONDS = 6.0
# Raise it with every change of what is heard: it is part of the prepared dataset's name.
VERSION = 1
# Share of the tracks whose rhythm and tempo are another genre's: no model gets these all right.
CROSSOVER = 0.03

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)


@dataclasses.dataclass(frozen=True)
class Genre:
  """A genre; patterns have one character a quarter of a beat and repeat, `x` is an onset.

  Attributes:
    tempo: range, beats per minute.
    kick: pattern of the bass drum.
    snare: pattern of the snare drum.
    hat: pattern of the hi-hat.
    bass: pattern of the bass.
    chords: pattern of the chords.
    arpeggio: chords are played one note after the other.
    scale: semitones above the root.
    progression: degrees of the scale, one a bar.
  """

  tempo: tuple[float, float]
  kick: str
  snare: str
  hat: str
  bass: str
  chords: str
  arpeggio: bool
  scale: tuple[int, ...]
  progression: tuple[int, ...]


GENRES = {
  'breakbeat': Genre(
    tempo=(135, 170),
    kick='x.........x.....',
    snare='....x..x.x..x...',
    hat='x.x.x.x.x.x.x.x.',
    bass='x.....x...x.....',
    chords='x...............',
    arpeggio=False,
    scale=MINOR,
    progression=(0, 0, 5, 6),
  ),
  'house': Genre(
    tempo=(112, 132),
    kick='x...x...x...x...',
    snare='....x.......x...',
    hat='..x...x...x...x.',
    bass='..x...x...x...x.',
    chords='x..x..x...x..x..',
    arpeggio=False,
    scale=MINOR,
    progression=(0, 0, 3, 4),
  ),
  'reggae': Genre(
    tempo=(66, 92),
    kick='........x.......',
    snare='........x.......',
    hat='x.x.x.x.x.x.x.x.',
    bass='x.....x.x...x...',
    chords='....x.......x...',
    arpeggio=False,
    scale=MAJOR,
    progression=(0, 3, 0, 4),
  ),
  'rock': Genre(
    tempo=(100, 140),
    kick='x.......x.x.....',
    snare='....x.......x...',
    hat='x.x.x.x.x.x.x.x.',
    bass='x.x.x.x.x.x.x.x.',
    chords='x.....x.x.......',
    arpeggio=False,
    scale=MAJOR,
    progression=(0, 4, 5, 3),
  ),
  'trance': Genre(
    tempo=(120, 142),
    kick='x...x...x...x...',
    snare='....x.......x...',
    hat='..x...x...x...x.',
    bass='.xxx.xxx.xxx.xxx',
    chords='xxxxxxxxxxxxxxxx',
    arpeggio=True,
    scale=MINOR,
    progression=(0, 5, 2, 6),
  ),
  'waltz': Genre(
    tempo=(96, 132),
    kick='x...........',
    snare='....x...x...',
    hat='x...x...x...',
    bass='x...........',
    chords='....x...x...',
    arpeggio=False,
    scale=MAJOR,
    progression=(0, 4, 4, 0),
  ),
}


def synthesise(seed: int, index: int) -> np.ndarray:
  """Track `index` of the collection `seed`: [samples] float32, 4 to 6 s at 16 kHz, peak below 1.

  Its genre is number `index % 6` of `GENRES`. It depends on the two numbers alone.
  """
  rng = np.random.default_rng((seed, index))
  names = tuple(GENRES)
  tonality = rhythm = GENRES[names[index % len(names)]]
  if rng.random() < CROSSOVER:
    rhythm = GENRES[names[rng.integers(len(names))]]
  samples = int(rng.uniform(MIN_SECONDS, MAX_SECONDS) * SAMPLE_RATE)
  step = 15 / rng.uniform(*rhythm.tempo)  # seconds of a quarter of a beat
  # The excerpt starts anywhere in the bar.
  first = int(rng.integers(len(rhythm.kick)))
  steps = np.arange(first, first + int(samples / SAMPLE_RATE / step) + 1)

  def onsets(pattern):
    """Times in s of a pattern's onsets, as a player would hit them, with the bar of each."""
    hits = steps[[pattern[s % len(pattern)] == 'x' for s in steps]]
    times = (hits - first) * step + rng.normal(0, 0.004, hits.size)
    return np.maximum(times, 0), hits // len(pattern), hits

  audio = np.zeros(samples + SAMPLE_RATE, np.float32)

  def add(note, time, level):
    start = int(time * SAMPLE_RATE)
    audio[start : start + note.size] += level * note[: audio.size - start]

  for pattern, drum in ((rhythm.kick, kick), (rhythm.snare, snare), (rhythm.hat, hat)):
    sound, level = drum(rng), decibels(rng.uniform(-24, -4))
    for time in onsets(pattern)[0]:
      add(sound, time, level * decibels(rng.uniform(-3, 0)))

  root = int(rng.integers(12))
  degrees = tonality.scale
  for pattern, octave, is_bass in ((rhythm.bass, 28, True), (rhythm.chords, 52, False)):
    table, decay = waveform(rng), decibels(rng.uniform(-36, -6))
    level = decibels(rng.uniform(-24, -6))
    times, bars, hits = onsets(pattern)
    for time, bar, hit in zip(times, bars, hits, strict=True):
      chord = tonality.progression[bar % len(tonality.progression)]
      if is_bass:
        notes = [chord]
      elif rhythm.arpeggio:
        notes = [chord + (0, 2, 4, 7)[hit % 4]]
      else:
        notes = [chord, chord + 2, chord + 4]
      for degree in notes:
        pitch = octave + root + 12 * (degree // 7) + degrees[degree % 7]
        add(tone(table, pitch, decay), time, level / len(notes) ** 0.5)

  audio = audio[:samples]
  audio = tilt(audio, rng.uniform(-0.7, 0.7))
  audio *= decibels(rng.uniform(-15, -1)) / np.max(np.abs(audio))
  noise = decibels(rng.uniform(-70, -35)) * rng.standard_normal(samples, np.float32)
  return np.clip(audio + noise, -1, 1)


def decibels(level: float) -> np.float32:
  """Amplitude of a level in dB."""
  return np.float32(10 ** (level / 20))


def kick(rng: np.random.Generator) -> np.ndarray:
  """A sine that falls in pitch and dies away: [samples] float32."""
  time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
  end, sweep, fall = rng.uniform(45, 70), rng.uniform(80, 250), rng.uniform(20, 50)
  phase = end * time + sweep / fall * (1 - np.exp(-fall * time))
  return (np.sin(2 * np.pi * phase) * np.exp(-rng.uniform(8, 25) * time)).astype(np.float32)


def snare(rng: np.random.Generator) -> np.ndarray:
  """A burst of noise over a short tone: [samples] float32."""
  time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
  noise = tilt(rng.standard_normal(time.size) * 0.5, rng.uniform(-0.4, 0.4))
  noise *= np.exp(-rng.uniform(8, 35) * time)
  body = np.sin(2 * np.pi * rng.uniform(150, 250) * time) * np.exp(-rng.uniform(20, 40) * time)
  return (noise + rng.uniform(0.2, 0.8) * body).astype(np.float32)


def hat(rng: np.random.Generator) -> np.ndarray:
  """A short burst of high noise: [samples] float32."""
  time = np.arange(int(0.12 * SAMPLE_RATE)) / SAMPLE_RATE
  noise = np.diff(rng.standard_normal(time.size + 1)) * 0.4
  return (noise * np.exp(-rng.uniform(15, 90) * time)).astype(np.float32)


def waveform(rng: np.random.Generator) -> np.ndarray:
  """Amplitudes of the harmonics of an instrument: [harmonics], the loudest is 1."""
  harmonics = np.arange(1, int(rng.integers(3, 16)))
  amplitudes = harmonics ** -rng.uniform(0.6, 2.0)
  amplitudes[1::2] *= rng.uniform(0, 1)  # from hollow, as a clarinet, to full
  return amplitudes / amplitudes.max()


def tone(amplitudes: np.ndarray, pitch: int, decay: float) -> np.ndarray:
  """A note of MIDI number `pitch` that falls by the factor `decay` in 0.5 s: [samples] float32."""
  time = np.arange(int(0.5 * SAMPLE_RATE)) / SAMPLE_RATE
  frequency = 440 * 2 ** ((pitch - 69) / 12)
  harmonics = np.arange(1, amplitudes.size + 1)
  below = harmonics * frequency < SAMPLE_RATE / 2
  # One period is summed once and read at the note's speed: a sine a harmonic would be ten times
  # the work.
  phase = np.linspace(0, 2 * np.pi, 2048, endpoint=False)
  period = amplitudes[below] @ np.sin(harmonics[below, None] * phase)
  note = period[(frequency * time * 2048).astype(np.int64) % 2048]
  attack = np.minimum(1, time / 0.005)
  release = np.minimum(1, (time[-1] - time) / 0.02)
  return (note * attack * release * decay ** (time / 0.5)).astype(np.float32)


def tilt(audio: np.ndarray, amount: float) -> np.ndarray:
  """Brightens (amount > 0) or darkens (< 0) by a first-order filter; [samples] stays as long."""
  previous = np.concatenate([audio[:1] * 0, audio[:-1]])
  return audio - np.float32(amount) * previous
