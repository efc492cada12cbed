"""The review desk on one machine, for `audit --page`, `run --review` and `career ask --page`.

The pages, keys and queue are those of `tolerate serve`, in one SQLite file beside the batch or in the run's folder.
Users have no accounts: a link that opens once, printed at the terminal, signs a person in.

options.py     who reviews, and how they get their links
commands.py    `audit_at_desk`, `ask_at_desk`
host.py        the program of a local desk: database, links, server
desk.py        its pages
work.py        what it is for: the protocol of a piece of work
audit.py       an audit as such a piece of work
questions.py   the items of a run as such a piece of work
interview.py   questions that are answered in words; no database
link_login.py  login by a link
links.py       links that open once
serving.py     the server on the loopback address
"""

from tolerate.service.local.commands import ask_at_desk, audit_at_desk
from tolerate.service.local.options import LocalDeskOptions

__all__ = ["LocalDeskOptions", "ask_at_desk", "audit_at_desk"]
