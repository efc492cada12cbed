"""The review desk: pages for reviewers, rendered on the server, usable by keyboard, in English and Chinese.

pages.py         responses, visits, tables of pages
app.py           `Desk`: host and origin checks, sessions, forms; `ReviewDesk` and `ServiceDesk` on a database
service_desk.py  the desk of a running service, with all its pages
review.py        the queue and the page of one item
media.py         pictures, sounds and films of items
account.py       a user's own page
watching.py      the watch of a job
charts.py        its charts
admin.py         users, keys, export of labels
imports.py       import of tables and files
render.py        templates into pages
"""
