def write(workdir, configs, runs, select, resamples):
  p = workdir/'table.md'; p.write_text(str(runs)); return p
