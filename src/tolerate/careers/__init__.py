"""Careers: from error tolerance to tasks, moves and learning.

atlas.py      occupations and tasks with their figures and sources; embedded, or imported
onet.py, release.py, embed.py   reading a release of O*NET and making an atlas of it
titles.py     finding an occupation by any of its names
severity.py, choice.py, evidence.py   tolerance of a task, and what to do with it today
moves.py, relate.py   where one could go, and how related occupations are
skills.py, path.py    the skill graph, and the way through it
kinds.py, advice.py   what a task makes, and the technique that fits
me.py, interview.py, desk.py, template.py   what a person says of themselves
plan.py       puts it together; terminal.py, page.py, record.py show it
"""
