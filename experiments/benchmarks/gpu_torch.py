"""The published network in PyTorch on the card, compiled, timed in a process of its own.

  python experiments/benchmarks/gpu_torch.py DEVICE FOLDER

Answers each line of JSON that it reads with one: `ceilings` with the rates of products, `losses`
with those of three steps from FOLDER/weights.npz without dropout, eager, on FOLDER/batch.npz,
`prepare` once a step is compiled, `run` with the seconds of one step, the mean of some, or the
error. PyTorch and NumPy only. Float32 products may be TF32, as they are in JAX.
"""

import json
import sys
import time
import traceback

import numpy as np
import torch
import torch_networks

STEPS = {}


def wait(device):
  if device == 'cuda':
    torch.cuda.synchronize()


def make_step(device, batch, dtype, dropout, compiled, weights=None):
  """Returns () -> loss on the device, after an update: forward, loss, backward, fused AdamW."""
  network = torch_networks.NETWORKS['yandex'](batch, dropout)
  if weights:
    state = {
      torch_networks.torch_name('yandex', key): torch.from_numpy(w) for key, w in weights.items()
    }
    network.load_state_dict(state, strict=False)
  network = network.to(device).train()

  def forward(inputs, labels):
    return network.loss(network(inputs).float(), labels)

  # Shapes that differ between steps are not to become variable.
  forward = torch.compile(forward, dynamic=False) if compiled else forward
  optimizer = torch.optim.AdamW(
    network.parameters(), network.RATE, weight_decay=network.DECAY, fused=True
  )
  inputs, labels = (torch.from_numpy(batch[name]).to(device) for name in ('inputs', 'labels'))

  def step():
    optimizer.zero_grad()
    with torch.autocast(device, torch.bfloat16, enabled=dtype == 'bfloat16'):
      loss = forward(inputs, labels)
    loss.backward()
    optimizer.step()
    return loss.detach()

  return step


def ceilings(device, size):
  """Returns FLOP/s of square products: bfloat16, float32 as TF32, float32."""
  rates = {}
  for name, dtype, tf32 in (
    ('bfloat16', torch.bfloat16, True),
    ('tf32', torch.float32, True),
    ('float32', torch.float32, False),
  ):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(12):
      wait(device)
      start = time.perf_counter()
      for _ in range(4):
        a @ b
      wait(device)
      seconds.append((time.perf_counter() - start) / 4)
    rates[name] = 2 * size**3 / float(np.median(seconds[3:]))
  torch.backends.cuda.matmul.allow_tf32 = True
  return rates


def answer(device, folder, told):
  task = told.pop('task')
  if task == 'ceilings':
    return ceilings(device, told['size'])
  if task == 'losses':
    with np.load(f'{folder}/weights.npz', allow_pickle=False) as arrays:
      weights = dict(arrays)
    with np.load(f'{folder}/batch.npz', allow_pickle=False) as arrays:
      batch = dict(arrays)
    step = make_step(device, batch, 'float32', False, False, weights)
    return [step().item() for _ in range(3)]
  key = told['batch'], told['dtype']
  if task == 'prepare':
    rng = np.random.default_rng(0)
    size, frames, width, tags = told['batch'], told['frames'], told['width'], told['tags']
    batch = {
      'inputs': rng.normal(size=(size, frames, width)).astype(np.float32),
      'labels': (rng.random((size, tags)) < 0.015).astype(np.float32),
    }
    STEPS[key] = make_step(device, batch, told['dtype'], True, True)
    for _ in range(3):
      STEPS[key]()
    wait(device)
    return 'compiled'
  wait(device)
  start = time.perf_counter()
  for _ in range(told['steps']):
    STEPS[key]()
  wait(device)
  return (time.perf_counter() - start) / told['steps']


def main():
  device, folder = sys.argv[1:]
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
  card = torch.cuda.get_device_name() if device == 'cuda' else device
  print(json.dumps(f'PyTorch {torch.__version__}, {card}'), flush=True)
  for line in sys.stdin:
    try:
      said = answer(device, folder, json.loads(line))
    except Exception as error:
      traceback.print_exc()
      said = {'error': f'{type(error).__name__}: {str(error)[:300]}'}
    print(json.dumps(said), flush=True)


if __name__ == '__main__':
  main()
