"""The service: a gateway that keeps a certificate's promise, a review desk, a watch.

settings.py   what a service is told: jobs, tiers, upstreams, limits
binding.py    what a certificate holds for, by hash; a mismatch makes it VOID
wire.py       OpenAI's formats: requests, answers, streams, errors
calls.py      HTTP to models: connections kept, addresses looked at
upstream.py   calls to models: time-outs, retries, circuit breaker, fallback
guard.py      which addresses may be called
scores.py     judges that score an answer
gate.py       the path of a request: tier, score, rule, ledger, answer
watching.py   reviews into evidence; alarms; the next certificate
metrics.py    Prometheus
app.py        routes, limits, keys: plain ASGI
desk/         the pages
server.py     starting and stopping
demo.py       everything on one machine, to try
"""
