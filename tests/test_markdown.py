"""Names of any kind stay the text that they are, in GitHub's Markdown as in plain text."""

import html
import re

import pytest

from musicjax import markdown

NAMES = [
  'a|b', '_start', 'end_', 'a *b* c', '**b**', '`code`', '``', '<b>x</b>', '<script>', '&amp;',
  '[x](y)', '![x](y.png)', '~~gone~~', '$a$', 'back\\slash', 'end\\', '\\|', "it's", 'Музыка',
  '音楽', 'snake_case_name', '# head', '- item', '| --- |', '|', '#1',
]  # fmt: skip


@pytest.mark.parametrize('name', NAMES)
def test_a_name_in_a_table_reads_as_it_is(name):
  markdown_it = pytest.importorskip('markdown_it')
  parser = markdown_it.MarkdownIt('commonmark', {'html': True}).enable(['table', 'strikethrough'])
  text = markdown.table(['tag', 'n'], [[markdown.escape(name), '1'], ['next', '2']])
  cells = re.findall(r'<td[^>]*>(.*?)</td>', parser.render(text), re.DOTALL)
  assert [html.unescape(cell) for cell in cells] == [name, '1', 'next', '2']


def test_ordinary_names_are_written_as_they_are():
  for name in ('tag_001', '004 - Baby cry/3-151080-A.ogg', 'hip-hop (old)'):
    assert markdown.escape(name) == name


def test_a_name_is_one_line_of_what_can_be_seen_and_not_too_long():
  assert markdown.escape('a\nb\t\x00c\u202e\u200bd') == 'a b c d'
  long = markdown.escape('x' * 100 + 'y' * 100, limit=20)
  assert (len(long), long[0], long[-1]) == (20, 'x', 'y')


def test_a_missing_number_is_a_dash():
  found = [markdown.number(value, 2) for value in (0.126, None, float('nan'))]
  assert found == ['0.13', '–', '–']
