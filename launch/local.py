"""Starts one run as several processes on this machine.

  python launch/local.py --processes=2 -- \\
    --config=configs/yandex.py --workdir=runs/yandex --config.data_dir=DIR

What follows `--` goes to `musicjax.main`, with `--distributed`. A process gets devices of its own:
the CPU is split into `--devices_per_process`, and of the machine's GPUs process i sees the i-th so
many. The output is that of process 0, the errors are those of all. SIGTERM, SIGHUP (as SIGTERM) and
SIGINT go on to all of them: upon SIGTERM training saves a checkpoint and ends, and the same command
goes on from there. Where one fails, the others are ended, and its exit code is the command's. On
Linux none outlives this launcher.
"""

import argparse
import collections
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

_GRACE_SECONDS = 15  # For the others to end by themselves once one has failed.


def main() -> int:
  """Runs the processes and returns the exit code of the first that failed, 0 if none did."""
  parser = argparse.ArgumentParser(
    usage='%(prog)s --processes=N [--devices_per_process=N] -- ARGUMENTS',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument('--processes', type=int, required=True)
  parser.add_argument('--devices_per_process', type=int, default=1)
  dashes = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
  given, unknown = parser.parse_known_args(sys.argv[1:dashes])
  arguments = sys.argv[dashes + 1 :]
  if unknown or not arguments:
    found = ' '.join(unknown) + ' before it' if unknown else 'none'
    parser.error(f'expected the arguments of musicjax.main after --, found {found}')
  if min(given.processes, given.devices_per_process) < 1:
    parser.error('expected at least one process and one device for each')
  command = [sys.executable, '-m', 'musicjax.main', '--distributed', *arguments]
  received = receive_signals()
  die_with_launcher = death_with_parent()
  with socket.socket() as port_holder:
    port = hold_port(port_holder)
    processes = [
      subprocess.Popen(
        command,
        env=os.environ | environment(i, given.processes, given.devices_per_process, port),
        stdout=subprocess.DEVNULL if i else None,
        stderr=subprocess.PIPE if i else None,
        text=True,
        start_new_session=True,  # A terminal's Ctrl-C comes once, through here.
        preexec_fn=die_with_launcher,
      )
      for i in range(given.processes)
    ]
    held = []
    relays = [threading.Thread(target=relay, args=(p.stderr, held)) for p in processes[1:]]
    for thread in relays:
      thread.start()
    code = wait(processes, received)
    for thread in relays:
      thread.join()
  if processes[0].returncode != 2:  # Otherwise process 0 has told what it is.
    sys.stderr.writelines(held)
  return code


def receive_signals() -> collections.deque[int]:
  """Returns where the signals to pass on are put from now on."""
  received = collections.deque()
  passed_on = {signal.SIGTERM: signal.SIGTERM, signal.SIGINT: signal.SIGINT}
  if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it.
    passed_on[signal.SIGHUP] = signal.SIGTERM
  for number in passed_on:
    signal.signal(number, lambda number, frame: received.append(passed_on[number]))
  return received


def death_with_parent() -> Callable[[], None] | None:
  """Returns what a child calls to be killed when this process ends; None if not on Linux."""
  if sys.platform != 'linux':
    return None
  prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # Looked up here: a fork must do little.

  def die_with_parent():
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
      os._exit(1)

  return die_with_parent


def relay(errors: IO[str], held: list[str]) -> None:
  """Passes a process' errors on, and holds those back that every process may tell of."""
  for line in errors:
    if line.startswith('error: '):
      held.append(line)
    else:
      sys.stderr.write(line)


def hold_port(holder: socket.socket) -> int:
  """Binds a free port that the coordinator shares, so that no other program is given it."""
  if hasattr(socket, 'SO_REUSEPORT'):
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
  holder.bind(('127.0.0.1', 0))
  return holder.getsockname()[1]


def environment(index: int, processes: int, devices: int, port: int) -> dict[str, str]:
  """Returns what tells process `index` of `processes` where the others are, and its devices."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
  return {
    'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
    'JAX_COORDINATOR_BIND_ADDRESS': f'127.0.0.1:{port}',  # Nobody else is to join.
    'JAX_NUM_PROCESSES': str(processes),
    'JAX_PROCESS_ID': str(index),
    'JAX_LOCAL_DEVICE_IDS': ','.join(str(index * devices + i) for i in range(devices)),
    'XLA_FLAGS': flags.strip(),
  }


def wait(processes: Sequence[subprocess.Popen], received: collections.deque[int]) -> int:
  """Returns when all have ended, the others soon after one that failed, with its exit code.

  Signals that are received meanwhile, or were before, go on to all.
  """
  failed, deadline = 0, float('inf')
  while True:
    while received:
      number = received.popleft()
      for process in processes:
        process.send_signal(number)
    codes = [process.poll() for process in processes]
    if not failed and any(codes):
      failed, deadline = next(filter(None, codes)), time.monotonic() + _GRACE_SECONDS
    if None not in codes:
      return 128 - failed if failed < 0 else failed
    if time.monotonic() > deadline:
      for process in processes:
        process.kill()
    time.sleep(0.1)


if __name__ == '__main__':
  sys.exit(main())
