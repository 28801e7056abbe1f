"""The fields of a config with their values and the comments behind them in the sources."""

import ast
import io
import itertools
import textwrap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

_WIDTH = 120  # columns


class _Assignment(NamedTuple):
  path: str  # 'optimizer.learning_rate'; '' is the config itself
  value: ast.expr
  comment: str


def describe(config: ConfigDict, sources: Sequence[Path]) -> str:
  """Lists every field of a config with its value and its comment.

  A field that is assigned more than once, by a default and its override or by two variants, has the
  comment behind the value it ended with, a later source before an earlier one; a value that comes
  from elsewhere (a flag, an expression) has the comment of its first assignment in the last source.

  Args:
    config: resolved config.
    sources: Python files that fill it, as `config.a.b = value  # comment` or with dicts of such
      lines: first the shared defaults, then the config file.

  Returns:
    Lines `field  value  # comment` in the order of the sources, at most 120 columns wide.
  """
  assignments = [list(_read_assignments(path)) for path in sources]
  positions = {}
  for position, assignment in enumerate(itertools.chain.from_iterable(assignments)):
    positions.setdefault(assignment.path, position)

  fields = {}
  for path, value in _flatten(config.to_dict()):
    group = path.rpartition('.')[0]
    # A group has a line of its own where it has a comment of its own.
    if group and group not in fields and (comment := _find_comment(assignments, group, None)):
      fields[group] = ('', comment)
    fields[path] = (repr(value), _find_comment(assignments, path, value))

  def position_of(path: str) -> tuple[int, int]:
    top = path.split('.')[0]
    known = [p for name, p in positions.items() if name.split('.')[0] == top]
    # Fields that no source assigns by name stay with their group; unknown groups come last.
    return min(known, default=len(positions)), positions.get(path, len(positions))

  return _format_table([(path, *fields[path]) for path in sorted(fields, key=position_of)])


def _flatten(fields: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
  for name, value in fields.items():
    if isinstance(value, Mapping) and value:
      yield from _flatten(value, f'{prefix}{name}.')
    else:
      yield prefix + name, value


def _read_assignments(path: Path) -> Iterator[_Assignment]:
  source = path.read_text()
  comments = _read_comments(source)
  statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
  for node in sorted(statements, key=lambda node: node.lineno):
    root, *names = ast.unparse(node.targets[0]).split('.')
    if root != 'config':
      continue
    nested = list(_read_dict('.'.join(names), node.value))
    if node.lineno == node.end_lineno:
      of_fields = {}
    else:
      of_fields = {v.end_lineno: comments.get(v.end_lineno, '') for _, v in nested}
    own = [comments.get(n, '') for n in (node.end_lineno, node.lineno) if n not in of_fields]
    yield _Assignment('.'.join(names), node.value, next(filter(None, own), ''))
    for name, value in nested:
      yield _Assignment(name, value, of_fields.get(value.end_lineno, ''))


def _read_dict(path: str, node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
  """The fields in `ConfigDict(dict(a=1, b={'c': 2}))`: 'a', 'b.c'."""
  if isinstance(node, ast.Dict):
    items = [(key.value, v) for key, v in zip(node.keys, node.values, strict=True)
             if isinstance(key, ast.Constant)]
  elif isinstance(node, ast.Call) and ast.unparse(node.func).split('.')[-1] in ('ConfigDict', 'dict'):
    for argument in node.args:
      yield from _read_dict(path, argument)
    items = [(keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg]
  else:
    return
  for name, value in items:
    name = f'{path}.{name}' if path else str(name)
    inner = list(_read_dict(name, value))
    yield from inner or [(name, value)]


def _read_comments(source: str) -> dict[int, str]:
  """Comments by line; one that goes on in the next line, in the same column, is joined."""
  comments, code_lines, last = {}, set(), None
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    line, column = token.start
    if token.type == tokenize.COMMENT:
      text = token.string.lstrip('#').strip()
      if line in code_lines:
        comments[line], last = text, (line, line, column)
      elif last and last[1:] == (line - 1, column):
        comments[last[0]] += ' ' + text
        last = last[0], line, column
    elif token.string.strip():
      code_lines.update((line, token.end[0]))
  return comments


def _find_comment(assignments: list[list[_Assignment]], path: str, value: Any) -> str:
  for match_value in (True, False):
    for source in reversed(assignments):
      found = [a for a in source if a.path == path and a.comment]
      if match_value:
        found = [a for a in reversed(found) if _literal(a.value) == _Literal(value)]
      if found:
        return found[0].comment
  return ''
