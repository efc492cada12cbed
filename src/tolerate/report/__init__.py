"""Pictures and words of a run or a certificate: a page without a network, lines in the terminal.

page.py      writes the page of a run, and the page of a single certificate
sections.py  what each part of the page says
map.py       the tolerance map
charts.py    the other pictures
svg.py       axes, lines, points and labels as text
words.py     every word of the page in English and in Chinese
terminal.py  the closing lines of a run
"""

from tolerate.report.page import write_certificate_report, write_report
from tolerate.report.terminal import closing_line, print_map

__all__ = ["closing_line", "print_map", "write_certificate_report", "write_report"]
