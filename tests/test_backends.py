"""Set-up of the process: what only a process of its own can show."""

import gc
import subprocess
import sys

import pytest

from musicjax import backends

_ALLOCATE = """
import ctypes, os
from musicjax import backends
if os.environ['MUSICJAX_KEEP_MEMORY'] == '1':
  backends._keep_memory()
malloc = ctypes.CDLL(None).malloc
malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
address = malloc(2**26)
for line in open('/proc/self/maps'):
  first, last = (int(end, 16) for end in line.split()[0].split('-'))
  if first <= address < last:
    print('heap' if '[heap]' in line else 'mapped')
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='malloc is set on Linux alone')
@pytest.mark.parametrize(('keep', 'place'), [('1', 'heap'), ('0', 'mapped')])
def test_large_arrays_stay_on_the_heap_unless_told_otherwise(keep, place):
  run = subprocess.run(
    [sys.executable, '-c', _ALLOCATE],
    env={'PYTHONPATH': ':'.join(sys.path), 'MUSICJAX_KEEP_MEMORY': keep},
    capture_output=True,
    text=True,
    check=False,
  )
  assert run.stdout.strip() == place, run.stderr


def test_imports_are_not_searched_for_garbage_and_what_comes_after_is(monkeypatch):
  def searches():
    return sum(generation['collections'] for generation in gc.get_stats())

  before, frozen = searches(), gc.get_freeze_count()
  try:
    with backends.importing():
      made = [[] for _ in range(100_000)]
      monkeypatch.setitem(sys.modules, 'tests.imported', None)
    assert searches() == before
    assert gc.get_freeze_count() >= frozen + len(made)
    made += [[] for _ in range(100_000)]
    assert searches() > before
    frozen = gc.get_freeze_count()
    with backends.importing():  # Nothing: all was there.
      made += [[] for _ in range(1000)]
    assert gc.get_freeze_count() <= frozen
  finally:
    gc.unfreeze()
