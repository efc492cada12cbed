"""Careers: from error tolerance to tasks, moves and learning.

data/      published figures: the atlas of occupations and tasks, O*NET's releases, titles, skills, kinds of content
model/     estimates: severity and tolerance of a task, its choice, related occupations, learning paths; the import
person/    what a person says of themselves: me.toml, the interview, progress
planning/  a plan: evidence of errors, techniques, moves, and all of it put together
pages/     a plan as an HTML page, in the terminal and as JSON

Each package imports only from those above it. The texts, in English and Chinese, are in `tolerate.messages.careers`.
"""
