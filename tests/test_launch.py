"""The launcher passes signals on and leaves nobody behind; a stub stands for training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launch import local

# Holds a FIFO open as long as it lives, and tells there what it is sent.
STUB = """
import os, signal
fifo = os.open('alive', os.O_WRONLY)
def end(number, frame):
  os.write(fifo, signal.Signals(number).name.encode() + b'\\n')
  os._exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
  signal.signal(number, end)
signal.alarm(10)  # Nobody sent anything.
os.write(fifo, b'ready\\n')
while True:
  signal.pause()
"""


def start(folder, on_hangup=signal.SIG_DFL):
  """Returns the launcher of two stubs, and their FIFO once both are ready."""
  (folder / 'musicjax').mkdir()
  (folder / 'musicjax' / 'main.py').write_text(STUB)
  os.mkfifo(folder / 'alive')
  launcher = subprocess.Popen(
    [sys.executable, local.__file__, '--processes=2', '--', '--config=none'],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': ''},
    preexec_fn=lambda: signal.signal(signal.SIGHUP, on_hangup),
  )
  fifo = (folder / 'alive').open()
  assert [fifo.readline(), fifo.readline()] == ['ready\n'] * 2
  return launcher, fifo


@pytest.mark.parametrize(
  ('sent', 'arrives'),
  [
    (signal.SIGTERM, 'SIGTERM'),
    (signal.SIGINT, 'SIGINT'),
    (signal.SIGHUP, 'SIGTERM'),
  ],
)
def test_a_signal_reaches_every_process(sent, arrives, tmp_path):
  launcher, fifo = start(tmp_path)
  launcher.send_signal(sent)
  assert fifo.read().split() == [arrives] * 2
  assert launcher.wait() == 0


def test_a_hangup_that_nohup_ignores_goes_to_nobody(tmp_path):
  launcher, fifo = start(tmp_path, on_hangup=signal.SIG_IGN)
  launcher.send_signal(signal.SIGHUP)
  launcher.send_signal(signal.SIGINT)
  assert fifo.read().split() == ['SIGINT'] * 2
  assert launcher.wait() == 0


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux alone kills the children of the dead')
def test_no_process_outlives_a_killed_launcher(tmp_path):
  launcher, fifo = start(tmp_path)
  launcher.kill()
  assert fifo.read() == ''  # The end of the file: nobody holds it any more.
  assert launcher.wait() == -signal.SIGKILL


@pytest.mark.parametrize('arguments', [[], ['--'], ['--config=configs/yandex.py']])
def test_a_command_without_dashes_is_told_of_them(arguments):
  command = [sys.executable, Path(local.__file__), '--processes=2', *arguments]
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 2
  assert 'expected the arguments of musicjax.main after --, found' in done.stderr
