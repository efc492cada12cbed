"""A job from data to report.

options.py        what a user may ask of a run, common to all jobs and of one modality
plan.py           a job with the options resolved; seeds by purpose
workshop.py       the interface that a job implements: data, models, judge and check
pipeline.py       the stages of a run, each of which leaves a file
answers.py        candidates, choices and verdicts for many requests
strategies.py     what each strategy proves at each tolerance, and the cheapest
summary.py        everything that the report shows
history.py        curves of training losses
steps.py          single steps: train one model, check items from files
people.py         questions to people and their verdicts
audit_session.py  the audit of a finished batch at the terminal
progress.py       where progress is reported
"""
