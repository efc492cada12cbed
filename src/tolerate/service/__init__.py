"""The service: a gateway that keeps a certificate's promise, a review desk, a watch.

config.py            settings: jobs, tiers, upstreams, limits
openai_format.py     OpenAI's format for clients: requests, held answers, streams, errors
database_reader.py   queries beside the event loop
http/                requests of clients, limits, metrics, the log, the OpenAPI description
upstream/            calls to model servers: time-outs, retries, circuit breaker, fallback, allowed addresses
decide/              the path of a request: tier, score, rule, ledger, answer
watch/               reviews into evidence, drift of scores, alarms, webhooks, the next certificate
host.py              what the desk needs of the program that serves it
desk/                the pages
local/               a desk on one machine
app.py               routes and keys: plain ASGI
server.py            starting and stopping
demo.py              everything on one machine, to try
"""
