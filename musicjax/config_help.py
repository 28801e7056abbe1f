"""The fields of a config with their values and the comments behind them in the sources."""

import ast
import io
import itertools
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from musicjax.fields import flatten

_WIDTH, _VALUE_WIDTH = 120, 32  # columns


def describe(config: ConfigDict, sources: Sequence[Path]) -> str:
  """Lists every field of a config with its value and its comment.

  The comment is the one behind the last assignment of this value: the config file's before the
  shared defaults', a variant's only with the variant. A value set by a flag has the first one.

  Args:
    config: resolved config.
    sources: Python files that fill it, as `config.a.b = value  # comment` or with dicts of such
      lines: the shared defaults, then the config file.

  Returns:
    Lines `field  value  # comment` in the order of the sources, at most 120 columns wide.
  """
  assigned: dict[str, list[tuple[ast.expr, str]]] = {}
  for source in sources:
    for path, node, comment in _read_assignments(source.read_text()):
      assigned.setdefault(path, []).append((node, comment))
  order = list(assigned)

  def position(path: str) -> tuple[int, int]:
    # Fields that no source assigns by name stay with their group; unknown groups come last.
    group = path.split('.')[0]
    return [*(p.split('.')[0] for p in order), group].index(group), [*order, path].index(path)

  rows = {}
  for path, value in flatten(config.to_dict()).items():
    group = path.rpartition('.')[0]
    if comment := _pick_comment(assigned.get(group, []), None):
      rows[group] = ('', comment)
    rows[path] = (repr(value), _pick_comment(assigned.get(path, []), value))
  return _format_table([(path, *rows[path]) for path in sorted(rows, key=position)])


def _read_assignments(source: str) -> Iterator[tuple[str, ast.expr, str]]:
  """Yields (path, value, comment) of `config.<path> = value` and of the fields in such a value."""
  comments = _read_comments(source)
  statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
  for node in sorted(statements, key=lambda node: node.lineno):
    root, _, path = ast.unparse(node.targets[0]).partition('.')
    if root != 'config':
      continue
    fields = list(_read_dict(path, node.value))
    # In one line, the comment is the group's; over several, each field has its own line.
    taken = {v.end_lineno for _, v in fields} if node.lineno != node.end_lineno else set()
    own = [comments.get(n, '') for n in (node.end_lineno, node.lineno) if n not in taken]
    yield path, node.value, next(filter(None, own), '')
    for name, value in fields:
      yield name, value, comments.get(value.end_lineno, '') if taken else ''


def _read_dict(path: str, node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
  """Yields the fields of `ConfigDict(dict(a=1, b=dict(c=2)))`: 'a', 'b.c'."""
  if not isinstance(node, ast.Call) or ast.unparse(node.func)[-4:].lower() != 'dict':
    return
  for argument in node.args:
    yield from _read_dict(path, argument)
  for keyword in node.keywords:
    name = f'{path}.{keyword.arg}'.lstrip('.')
    yield from list(_read_dict(name, keyword.value)) or [(name, keyword.value)]


def _read_comments(source: str) -> dict[int, str]:
  """Comments behind code, by line; one that goes on below, in the same column, is joined."""
  comments, code_lines, last = {}, set(), (0, 0, 0)
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    line, column = token.start
    if token.type == tokenize.COMMENT:
      text = token.string.lstrip('#').strip()
      if line in code_lines:
        comments[line], last = text, (line, line, column)
      elif last[1:] == (line - 1, column):
        comments[last[0]] += ' ' + text
        last = last[0], line, column
    elif token.string.strip():
      code_lines.add(token.end[0])
  return comments


def _pick_comment(assignments: list[tuple[ast.expr, str]], value: Any) -> str:
  comments = [comment for _, comment in assignments if comment]
  matching = [comment for node, comment in assignments if comment and _may_be(node, value)]
  return (matching or comments[:1] or [''])[-1]


def _may_be(node: ast.expr, value: Any) -> bool:
  try:
    return ast.literal_eval(node) == value
  except ValueError:  # an expression
    return True


def _format_table(rows: list[tuple[str, str, str]]) -> str:
  name_width = max(len(name) for name, _, _ in rows)
  value_width = min(max(len(value) for _, value, _ in rows), _VALUE_WIDTH)
  comment_width = max(_WIDTH - name_width - value_width - 6, 20)
  lines = []
  for row_name, row_value, row_comment in rows:
    values = textwrap.wrap(row_value, value_width)
    comments = [f'# {line}' for line in textwrap.wrap(row_comment, comment_width)]
    for name, value, comment in itertools.zip_longest([row_name], values, comments, fillvalue=''):
      lines.append(f'{name:{name_width}}  {value:{value_width}}  {comment}'.rstrip())
  return '\n'.join(lines)
