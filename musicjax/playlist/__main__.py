"""A playlist from a local catalogue that sounds like what is given.

  python -m musicjax.playlist --workdir=W --catalog=tracks.csv --image=COVER.jpg --size=20
  python -m musicjax.playlist --workdir=W --catalog=tracks.csv --like='NAME'
  python -m musicjax.playlist --workdir=W --catalog=tracks.csv --genres='indie pop, chicago blues' \
    --features=acousticness=0.2,danceability=0.7,energy=0.8,instrumentalness=0,liveness=0.1,loudness=-6,speechiness=0.05,valence=0.9

Prints the tracks and writes them to `W/playlist/`: `playlist.m3u8`, `.csv` and `.json`; beside them
`skipped.csv`, rows of the catalogue that cannot be used, and `unmapped.csv`, its genres without a
seed genre.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from musicjax import backends, command_line
from musicjax.data.audio_features import FEATURES
from musicjax.errors import ConfigError, DataError, quoted
from musicjax.playlist import catalog as catalog_lib
from musicjax.playlist import genres, queries, recommend
from musicjax.playlist.recommend import Wish

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(command_line)  # --help shows them, too.
flags.DEFINE_string('workdir', None, 'Its folder playlist/ gets the files; made if missing.')
flags.DEFINE_string('catalog', None, 'CSV or Parquet table of tracks, with genres and features.')
flags.DEFINE_string('image', None, 'What to sound like: a cover, by the run in --workdir.')
flags.DEFINE_list('features', [], 'What to sound like: the eight features, as energy=0.8,...')
flags.DEFINE_string('like', None, 'What to sound like: a track of the catalogue, by id or name.')
flags.DEFINE_list('genres', [], 'Tracks of any of these alone; none: of all.')
flags.DEFINE_string('genre_map', None, 'JSON {genre: [seed genre, ...]}; goes before the rules.')
flags.DEFINE_integer('size', Wish.size, 'Tracks.', 1, 10_000)
flags.DEFINE_integer('max_per_artist', Wish.max_per_artist, 'Tracks of one artist.', 1)
flags.DEFINE_float('popularity', Wish.popularity, 'What popularity counts, beside nearness.', 0, 1)
flags.DEFINE_float('diversity', Wish.diversity, 'What being unlike the others counts.', 0, 1)
flags.DEFINE_float('variety', Wish.variety, 'Largest draw that is added to a score.', 0, 1)
flags.DEFINE_integer('seed', Wish.seed, 'Of the draws: another one, another playlist.', 0)


def main(_: ConfigDict | None) -> None:
  """Makes the playlist that the flags ask for.

  Raises:
    ConfigError, DataError, StorageError: what the user must know, in one line.
  """
  command_line.require('workdir', 'catalog')
  given = [name for name in ('image', 'features', 'like') if FLAGS[name].value]
  if len(given) != 1:
    raise ConfigError(f'--image, --features, --like: expected one of them, found {given or "none"}')
  if FLAGS.features:
    features = queries.parse_features(FLAGS.features)
  genre_map = genres.read_genre_map(Path(FLAGS.genre_map)) if FLAGS.genre_map else {}
  mapped = genres.make_mapper(genre_map)
  seeds = _map_wanted(mapped)
  wish = _wish()
  from musicjax import workdir as workdir_lib  # A second; what can be is checked before.
  from musicjax.playlist import outputs

  folder, path = Path(FLAGS.workdir, 'playlist'), Path(FLAGS.catalog)
  workdir_lib.check_writable(folder, '--workdir')
  catalog, skipped = catalog_lib.read(path)
  liked = queries.find_track(catalog, FLAGS.like) if FLAGS.like else None
  if FLAGS.like:
    features = catalog.features[liked]
  elif FLAGS.image:
    backends.set_up(backends.COMPILATION_CACHE, distributed=False)
    features = queries.features_of_image(Path(FLAGS.workdir), Path(FLAGS.image))
    values = zip(FEATURES, features, strict=True)
    print(f'{FLAGS.image}: {", ".join(f"{name} {value:.3g}" for name, value in values)}')

  wanted = {seed for found in seeds.values() for seed in found} if seeds else None
  index = recommend.make_index(catalog, mapped)
  rows, nearness = recommend.recommend(index, features, wish, wanted, liked)
  limits = f'within --max_per_artist={wish.max_per_artist}'
  if seeds:
    limits = f'of the seed genres {", ".join(sorted(wanted))}, {limits}'
  if not len(rows):
    raise DataError(f'{path}: expected tracks {limits}, found none')

  counts = collections.Counter(name for names in catalog.genres for name in names)
  unmapped = [(name, count) for name, count in counts.most_common() if not mapped(name)]
  workdir_lib.write_csv(folder / 'skipped.csv', [('row', 'reason'), *skipped])
  workdir_lib.write_csv(folder / 'unmapped.csv', [('genre', 'tracks'), *unmapped])
  about = {
    'features': dict(zip(FEATURES, map(outputs.rounded, features), strict=True)),
    'image': FLAGS.image,
    'like': catalog.ids[liked] if FLAGS.like else None,
    'genres': seeds,
    **dataclasses.asdict(wish),
  }
  outputs.write(folder, catalog, rows, nearness, about)
  print(outputs.table(catalog, rows, nearness))
  if skipped:
    print(f'{len(skipped)} rows of {path} left out, listed in {folder / "skipped.csv"}')
  if unmapped:
    told = f'{len(unmapped)} of {len(counts)} genres of {path} have no seed genre'
    print(f'{told}, listed in {folder / "unmapped.csv"}')
  if len(rows) < wish.size:
    print(f'{len(rows)} of {wish.size} tracks: {path} has no more {limits}')
  print(folder / 'playlist.m3u8')


def _wish() -> Wish:
  """Returns the wish that the flags make.

  Raises:
    ConfigError: a weight is NaN, which absl lets pass.
  """
  values = {field.name: FLAGS[field.name].value for field in dataclasses.fields(Wish)}
  for name, value in values.items():
    if math.isnan(value):
      raise ConfigError(f'--{name}: expected a number from 0 to 1, found {value}')
  return Wish(**values)


def _map_wanted(mapped: Callable[[str], Sequence[str]]) -> dict[str, list[str]]:
  """Returns {genre of --genres: seed genres}; tells of those that have none.

  Raises:
    ConfigError: none has one.
  """
  seeds = {name: list(mapped(name)) for name in FLAGS.genres}
  unknown = ', '.join(quoted(name) for name, found in seeds.items() if not found)
  if seeds and not any(seeds.values()):
    raise ConfigError(f'--genres: expected genres that have a seed genre, found {unknown}')
  if unknown:
    print(f'--genres: no seed genre for {unknown}')
  return seeds


if __name__ == '__main__':
  command_line.run(main)
