import pytest

from experiments import sweep, tune
from musicjax import metrics
from musicjax.errors import ConfigError
from tests.experiments.kept_runs import write_run

optuna = pytest.importorskip('optuna', reason='Optuna is not installed')
SPACE = {'rate': ('log_uniform', 1e-3, 1.0), 'drop': ('uniform', 0.0, 0.5), 'width': [8, 16]}


@pytest.fixture
def storage(tmp_path):
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / 'study.journal'))
  return optuna.storages.JournalStorage(backend)


def test_workers_share_a_study_and_together_complete_its_trials(storage):
  tried, scores = [], []

  def score(number, fields):
    tried.append(number)
    scores.append(-fields['drop'] + fields['width'])
    return scores[-1]

  tune.search(SPACE, score, trials=3, storage=storage, name='x')
  best = tune.search(SPACE, score, trials=8, storage=storage, name='x')
  assert tried == list(range(8))
  assert best.value == max(scores)
  assert 1e-3 <= best.params['rate'] <= 1
  tune.search(SPACE, score, trials=8, storage=storage, name='x')
  assert len(tried) == 8


def test_a_trial_that_fails_counts_for_nothing_and_the_next_one_goes_on(storage):
  def score(number, fields):
    if number == 0:
      raise RuntimeError('killed')
    return fields['drop']

  best = tune.search(SPACE, score, trials=2, storage=storage, name='x')
  assert best.number in (1, 2)

  def fail(number, fields):
    raise RuntimeError('killed')

  with pytest.raises(ConfigError, match='expected a trial that completes, found none'):
    tune.search(SPACE, fail, trials=2, storage=storage, name='y')


def test_a_trial_is_what_its_runs_kept_of_validation_and_knows_no_test_fold(tmp_path):
  runs = []
  for fold in range(2):
    folder = write_run(tmp_path / f'fold_{fold}', fold, 0, 1.0)
    for path in folder.glob('predictions/out_of_fold*'):
      path.unlink()
    (folder / 'metrics.json').write_text('not for choosing')
    runs.append(sweep.Run('ours', fold, 0, folder))
  assert 0.3 < tune.mean_of_validation(runs, metrics.map_macro) <= 1
  failed = sweep.Run('ours', 2, 0, tmp_path, 'exit code 2')
  with pytest.raises(RuntimeError, match='exit code 2'):
    tune.mean_of_validation([*runs, failed], metrics.map_macro)


def test_what_is_no_space_is_told():
  with pytest.raises(ConfigError, match=r'expected a space, found \(1, 2\)'):
    tune.suggest(None, 'rate', (1, 2))
