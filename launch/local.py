"""Starts one run as several processes on this machine.

  python launch/local.py --processes=2 -- \\
    --config=configs/yandex.py --workdir=runs/yandex --config.data_dir=DIR

What follows `--` goes to `musicjax.main`, with `--distributed`. A process gets devices of its own:
the CPU is split into `--devices_per_process`, and of the machine's GPUs process i sees the i-th so
many. The output is that of process 0, the errors are those of all. SIGTERM and SIGINT go on to all
of them: training saves a checkpoint and ends, and the same command goes on from there. Where one
fails, the others are ended, and its exit code is the command's.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

_GRACE_SECONDS = 15  # For the others to end by themselves once one has failed.


def main() -> int:
  """Runs the processes and returns the exit code of the first that failed, 0 if none did."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--processes', type=int, required=True)
  parser.add_argument('--devices_per_process', type=int, default=1)
  parser.add_argument('arguments', nargs='+', help='of musicjax.main')
  given = parser.parse_args()
  if min(given.processes, given.devices_per_process) < 1:
    parser.error('expected at least one process and one device for each')
  command = [sys.executable, '-m', 'musicjax.main', '--distributed', *given.arguments]
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
      )
      for i in range(given.processes)
    ]

    def forward(number, frame):
      del frame
      for process in processes:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, forward)
    held = []
    relays = [threading.Thread(target=relay, args=(p.stderr, held)) for p in processes[1:]]
    for thread in relays:
      thread.start()
    code = wait(processes)
    for thread in relays:
      thread.join()
  if processes[0].returncode != 2:  # Otherwise process 0 has told what it is.
    sys.stderr.writelines(held)
  return code


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


def wait(processes: Sequence[subprocess.Popen]) -> int:
  """Returns when all have ended, the others soon after one that failed, with its exit code."""
  failed, deadline = 0, float('inf')
  while True:
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
