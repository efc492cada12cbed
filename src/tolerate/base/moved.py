"""Where the modules of version 0.1 are now, so that names stored or imported under their old paths still load.

Run folders, `model.json` files and configurations of a service hold names such as `tolerate.models.vae:VAE`;
`tolerate.base.registry.attribute` translates them with `new_path`. Modules of a user's own may import from the old
paths: `redirect_imports` lets them, with a DeprecationWarning that names the new path.
"""

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def new_path(path: str) -> str:
    """The present form of a `package.module:attribute` name; a name that has not moved is returned as it is.

    >>> new_path("tolerate.models.vae:VAE"), new_path("mine.models:Own")
    ('tolerate.models.pictures.vae:VAE', 'mine.models:Own')
    """
    if path in ATTRIBUTES:
        return ATTRIBUTES[path]
    module, colon, name = path.partition(":")
    return MODULES.get(module, module) + colon + name


class MovedModules(MetaPathFinder, Loader):
    """Finds a module under its old path: its attributes are those of the new module, with a warning."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A package without files for an old path, None for every other name."""
        return ModuleSpec(fullname, self, is_package=True) if fullname in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module look its attributes up in the one that replaced it."""
        module.__dict__["__getattr__"] = partial(_moved_attribute, module.__name__)


def redirect_imports() -> None:
    """Let imports of old module paths succeed; asked only where no module of that name exists."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())


def _moved_attribute(module: str, name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    path = new_path(f"{module}:{name}")
    warnings.warn(f"{module}.{name} has moved to {path}", DeprecationWarning, stacklevel=2)
    new_module, _, attribute = path.partition(":")
    return getattr(import_module(new_module), attribute)


# old package.module:attribute -> new, where the attribute is not in the module that MODULES names
ATTRIBUTES: dict[str, str] = {
    "tolerate.models.classifier:Course": "tolerate.models.pictures.evaluation.classifier:ClassifierOptions",
    "tolerate.models.classifier:Network": "tolerate.models.pictures.evaluation.classifier:PictureClassifier",
    "tolerate.models.classifier:teach": "tolerate.models.pictures.evaluation.classifier:train_classifier",
    "tolerate.models.drawing:likelihood": "tolerate.models.pictures.evaluation.likelihood:likelihood",
    "tolerate.models.model:Model": "tolerate.models.pictures.base:PictureModel",
    "tolerate.models.model:Shape": "tolerate.models.pictures.base:Shape",
    "tolerate.models.model:draws": "tolerate.models.pictures.base:draws",
    "tolerate.models.model:load": "tolerate.models.storage:load",
    "tolerate.models.model:save": "tolerate.models.storage:save",
    "tolerate.models.model:seeded": "tolerate.models.base:torch_seed",
    "tolerate.models.train:threaded": "tolerate.models.base:torch_threads",
    "tolerate.ask:Batch": "tolerate.runs.audit_session:AuditedBatch",
    "tolerate.ask:Judged": "tolerate.runs.people:PeopleVerdicts",
    "tolerate.ask:Question": "tolerate.runs.people:Question",
    "tolerate.jobs.support:support": "tolerate.jobs.texts.support:open_support",
    "tolerate.jobs.texts:casenotes": "tolerate.jobs.texts.casenotes:open_casenotes",
    "tolerate.jobs.texts:plays": "tolerate.jobs.texts.plays:open_plays",
    "tolerate.jobs.texts:poems": "tolerate.jobs.texts.poems:open_poems",
    "tolerate.jobs.texts:restaurants": "tolerate.jobs.texts.restaurants:open_restaurants",
    "tolerate.run:Candidates": "tolerate.runs.workshop:Candidates",
    "tolerate.run:Options": "tolerate.runs.options:RunOptions",
    "tolerate.run:Quiet": "tolerate.runs.progress:SilentReporter",
    "tolerate.run:Say": "tolerate.runs.progress:ProgressReporter",
    "tolerate.run:Strategy": "tolerate.runs.strategies:Strategy",
    "tolerate.run:Workshop": "tolerate.runs.workshop:Workshop",
    "tolerate.run:seed_for": "tolerate.runs.plan:seed_for",
    "tolerate.run:settle": "tolerate.runs.plan:plan_run",
    "tolerate.summary:released": "tolerate.runs.answers:released",
    "tolerate.folder:read_json": "tolerate.base.files:read_json",
    "tolerate.folder:slug": "tolerate.base.files:slug",
    "tolerate.folder:to_json": "tolerate.base.files:to_json",
    "tolerate.folder:write_whole": "tolerate.base.files:write_whole",
}

MODULES: dict[str, str] = {  # old module -> new module
    "tolerate.ask": "tolerate.runs.audit_session",
    "tolerate.careers.advice": "tolerate.careers.planning.advice",
    "tolerate.careers.atlas": "tolerate.careers.data.atlas",
    "tolerate.careers.choice": "tolerate.careers.model.choice",
    "tolerate.careers.embed": "tolerate.careers.model.embed",
    "tolerate.careers.estimate": "tolerate.careers.model.estimate",
    "tolerate.careers.evidence": "tolerate.careers.planning.evidence",
    "tolerate.careers.flows": "tolerate.careers.model.flows",
    "tolerate.careers.interview": "tolerate.careers.person.interview",
    "tolerate.careers.kinds": "tolerate.careers.data.kinds",
    "tolerate.careers.me": "tolerate.careers.person.me",
    "tolerate.careers.moves": "tolerate.careers.planning.moves",
    "tolerate.careers.onet": "tolerate.careers.data.onet",
    "tolerate.careers.page": "tolerate.careers.pages.page",
    "tolerate.careers.path": "tolerate.careers.model.path",
    "tolerate.careers.pictures": "tolerate.careers.pages.pictures",
    "tolerate.careers.plan": "tolerate.careers.planning.plan",
    "tolerate.careers.progress": "tolerate.careers.person.progress",
    "tolerate.careers.record": "tolerate.careers.pages.record",
    "tolerate.careers.relate": "tolerate.careers.model.relate",
    "tolerate.careers.release": "tolerate.careers.model.release",
    "tolerate.careers.said": "tolerate.careers.pages.said",
    "tolerate.careers.sections": "tolerate.careers.pages.sections",
    "tolerate.careers.severity": "tolerate.careers.model.severity",
    "tolerate.careers.simulate": "tolerate.careers.model.simulate",
    "tolerate.careers.skills": "tolerate.careers.data.skills",
    "tolerate.careers.tasks": "tolerate.careers.model.tasks",
    "tolerate.careers.template": "tolerate.careers.person.template",
    "tolerate.careers.terminal": "tolerate.careers.pages.terminal",
    "tolerate.careers.text": "tolerate.careers.data.text",
    "tolerate.careers.titles": "tolerate.careers.data.titles",
    "tolerate.careers.words": "tolerate.careers.pages.words",
    "tolerate.checks.english": "tolerate.checks.texts.english",
    "tolerate.checks.ink": "tolerate.checks.pictures.ink",
    "tolerate.checks.labels": "tolerate.checks.texts.labels",
    "tolerate.checks.maths": "tolerate.checks.texts.maths",
    "tolerate.checks.own_error": "tolerate.checks.pictures.own_error",
    "tolerate.checks.prototypes": "tolerate.checks.pictures.prototypes",
    "tolerate.checks.rhyme": "tolerate.checks.texts.rhyme",
    "tolerate.checks.text_metrics": "tolerate.checks.texts.metrics",
    "tolerate.comparison": "tolerate.cli.compare_table",
    "tolerate.console": "tolerate.cli.progress",
    "tolerate.crew": "tolerate.base.workers",
    "tolerate.folder": "tolerate.base.folder",
    "tolerate.gateway": "tolerate.service",
    "tolerate.gateway.app": "tolerate.service.app",
    "tolerate.gateway.binding": "tolerate.service.decide.binding",
    "tolerate.gateway.calls": "tolerate.service.upstream.client",
    "tolerate.gateway.connection": "tolerate.service.http.connection",
    "tolerate.gateway.demo": "tolerate.service.demo",
    "tolerate.gateway.desk": "tolerate.service.desk",
    "tolerate.gateway.desk.admin": "tolerate.service.desk.admin",
    "tolerate.gateway.desk.charts": "tolerate.service.desk.charts",
    "tolerate.gateway.desk.imports": "tolerate.service.desk.imports",
    "tolerate.gateway.desk.media": "tolerate.service.desk.media",
    "tolerate.gateway.desk.render": "tolerate.service.desk.render",
    "tolerate.gateway.desk.review": "tolerate.service.desk.review",
    "tolerate.gateway.desk.watch_words": "tolerate.messages.watch",
    "tolerate.gateway.desk.watching": "tolerate.service.desk.watching",
    "tolerate.gateway.desk.words": "tolerate.messages.desk",
    "tolerate.gateway.drifting": "tolerate.service.watch.drift",
    "tolerate.gateway.gate": "tolerate.service.decide.gate",
    "tolerate.gateway.guard": "tolerate.service.upstream.guard",
    "tolerate.gateway.http": "tolerate.service.http.requests",
    "tolerate.gateway.limits": "tolerate.service.http.limits",
    "tolerate.gateway.listen": "tolerate.service.http.listen",
    "tolerate.gateway.local": "tolerate.service.local",
    "tolerate.gateway.local.audit": "tolerate.service.local.audit",
    "tolerate.gateway.local.desk": "tolerate.service.local.desk",
    "tolerate.gateway.local.door": "tolerate.service.local.link_login",
    "tolerate.gateway.local.host": "tolerate.service.local.host",
    "tolerate.gateway.local.links": "tolerate.service.local.links",
    "tolerate.gateway.local.questions": "tolerate.service.local.questions",
    "tolerate.gateway.local.serving": "tolerate.service.local.serving",
    "tolerate.gateway.local.talk": "tolerate.service.local.interview",
    "tolerate.gateway.local.work": "tolerate.service.local.work",
    "tolerate.gateway.mask": "tolerate.service.decide.mask",
    "tolerate.gateway.metrics": "tolerate.service.http.metrics",
    "tolerate.gateway.notices": "tolerate.service.watch.webhooks",
    "tolerate.gateway.openapi": "tolerate.service.http.openapi",
    "tolerate.gateway.overview": "tolerate.service.watch.overview",
    "tolerate.gateway.process": "tolerate.service.http.logging",
    "tolerate.gateway.reader": "tolerate.service.database_reader",
    "tolerate.gateway.scores": "tolerate.service.decide.scores",
    "tolerate.gateway.server": "tolerate.service.server",
    "tolerate.gateway.settings": "tolerate.service.config",
    "tolerate.gateway.upstream": "tolerate.service.upstream.pool",
    "tolerate.gateway.watching": "tolerate.service.watch.evidence",
    "tolerate.gateway.wire": "tolerate.service.openai_format",
    "tolerate.jobs.asked": "tolerate.jobs.texts.prompted_models",
    "tolerate.jobs.casenotes": "tolerate.jobs.texts.casenotes",
    "tolerate.jobs.digits": "tolerate.jobs.pictures.digits",
    "tolerate.jobs.generating": "tolerate.jobs.generate",
    "tolerate.jobs.headlines": "tolerate.jobs.texts.headlines",
    "tolerate.jobs.maths": "tolerate.jobs.texts.maths",
    "tolerate.jobs.mnist": "tolerate.jobs.pictures.mnist",
    "tolerate.jobs.pictures": "tolerate.jobs.pictures.folder",
    "tolerate.jobs.pictures_data": "tolerate.data.pictures",
    "tolerate.jobs.plays": "tolerate.jobs.texts.plays",
    "tolerate.jobs.poems": "tolerate.jobs.texts.poems",
    "tolerate.jobs.restaurants": "tolerate.jobs.texts.restaurants",
    "tolerate.jobs.served": "tolerate.jobs.texts.remote_workshop",
    "tolerate.jobs.served_words": "tolerate.messages.remote",
    "tolerate.jobs.steps": "tolerate.runs.steps",
    "tolerate.jobs.support": "tolerate.jobs.texts.support",
    "tolerate.jobs.tasks": "tolerate.jobs.texts.task",
    "tolerate.jobs.text_scores": "tolerate.jobs.texts.scores",
    "tolerate.jobs.text_words": "tolerate.messages.texts",
    "tolerate.jobs.texts": "tolerate.jobs.texts.workshop",
    "tolerate.jobs.verifier": "tolerate.jobs.texts.verifier",
    "tolerate.jobs.words": "tolerate.messages.pictures",
    "tolerate.jobs.workshop": "tolerate.jobs.pictures.workshop",
    "tolerate.models.adapted": "tolerate.models.pretrained.adapted",
    "tolerate.models.adapters": "tolerate.models.pretrained.adapters",
    "tolerate.models.anomaly": "tolerate.models.pictures.evaluation.anomaly",
    "tolerate.models.answers": "tolerate.llm.cache",
    "tolerate.models.average": "tolerate.models.training.ema",
    "tolerate.models.bert": "tolerate.models.texts.bert",
    "tolerate.models.blend": "tolerate.models.texts.blend",
    "tolerate.models.bpe": "tolerate.models.texts.bpe",
    "tolerate.models.checkpoint": "tolerate.models.training.checkpoint",
    "tolerate.models.classifier": "tolerate.models.pictures.evaluation.classifier",
    "tolerate.models.contexts": "tolerate.models.texts.contexts",
    "tolerate.models.corpus": "tolerate.models.texts.corpus",
    "tolerate.models.cost": "tolerate.models.training.cost",
    "tolerate.models.counts": "tolerate.models.texts.ngram_counts",
    "tolerate.models.cvae": "tolerate.models.pictures.cvae",
    "tolerate.models.dcgan": "tolerate.models.pictures.dcgan",
    "tolerate.models.decoding": "tolerate.models.texts.decoding",
    "tolerate.models.drawing": "tolerate.models.pictures.drawing",
    "tolerate.models.embedders": "tolerate.models.pretrained.embedders",
    "tolerate.models.encoder": "tolerate.models.writers.text_classifier",
    "tolerate.models.endpoint": "tolerate.llm.endpoint_names",
    "tolerate.models.failures": "tolerate.models.training.diagnostics",
    "tolerate.models.features": "tolerate.models.pictures.evaluation.features",
    "tolerate.models.flow": "tolerate.models.pictures.flow",
    "tolerate.models.gan": "tolerate.models.pictures.gan",
    "tolerate.models.gaussians": "tolerate.models.pictures.gaussians",
    "tolerate.models.hub": "tolerate.models.pretrained.hub",
    "tolerate.models.intents": "tolerate.models.writers.ngram_classifier",
    "tolerate.models.judge": "tolerate.models.pictures.evaluation.judge",
    "tolerate.models.kneser_ney": "tolerate.models.texts.kneser_ney",
    "tolerate.models.language": "tolerate.models.texts.language",
    "tolerate.models.latent_flow": "tolerate.models.pictures.latent_flow",
    "tolerate.models.layers": "tolerate.models.pictures.layers",
    "tolerate.models.line": "tolerate.llm.connections",
    "tolerate.models.llama": "tolerate.models.pretrained.llama",
    "tolerate.models.local": "tolerate.models.writers.local",
    "tolerate.models.lstm": "tolerate.models.texts.lstm",
    "tolerate.models.metrics": "tolerate.models.pictures.evaluation.metrics",
    "tolerate.models.mixture": "tolerate.models.pictures.vae_mixture",
    "tolerate.models.model": "tolerate.models.base",
    "tolerate.models.muon": "tolerate.models.training.muon",
    "tolerate.models.nonsense": "tolerate.models.pictures.evaluation.nonsense",
    "tolerate.models.patience": "tolerate.llm.rate_limit",
    "tolerate.models.post": "tolerate.llm.http",
    "tolerate.models.pretrained": "tolerate.models.pretrained.pretrained",
    "tolerate.models.pretrained_encoder": "tolerate.models.pretrained.encoder",
    "tolerate.models.pretrained_writing": "tolerate.models.writers.pretrained",
    "tolerate.models.processes": "tolerate.models.training.distributed",
    "tolerate.models.r3gan": "tolerate.models.pictures.r3gan",
    "tolerate.models.reader": "tolerate.models.pictures.evaluation.reader",
    "tolerate.models.rubric": "tolerate.llm.judge",
    "tolerate.models.served": "tolerate.llm.client",
    "tolerate.models.source": "tolerate.llm.model_names",
    "tolerate.models.stream": "tolerate.llm.stream",
    "tolerate.models.t5": "tolerate.models.texts.t5",
    "tolerate.models.tokens": "tolerate.models.texts.tokens",
    "tolerate.models.tongue": "tolerate.models.pretrained.prompt_format",
    "tolerate.models.train": "tolerate.models.training.loop",
    "tolerate.models.transformer": "tolerate.models.texts.transformer",
    "tolerate.models.tuned": "tolerate.models.pretrained.tuned",
    "tolerate.models.update": "tolerate.models.training.optimizers",
    "tolerate.models.vae": "tolerate.models.pictures.vae",
    "tolerate.models.wgan_gp": "tolerate.models.pictures.wgan_gp",
    "tolerate.models.writers": "tolerate.models.writers.registry",
    "tolerate.models.writing": "tolerate.models.writers.writing",
    "tolerate.models.written": "tolerate.llm.answer",
    "tolerate.named": "tolerate.base.registry",
    "tolerate.on_ray": "tolerate.data.ray",
    "tolerate.partition": "tolerate.data.partition",
    "tolerate.refine.copied": "tolerate.refine.texts.copied",
    "tolerate.refine.near_duplicates": "tolerate.refine.texts.near_duplicates",
    "tolerate.refine.private": "tolerate.refine.texts.private",
    "tolerate.refine.texts": "tolerate.refine.texts.refining",
    "tolerate.report.words": "tolerate.messages.report",
    "tolerate.run": "tolerate.runs.pipeline",
    "tolerate.stats.advice": "tolerate.stats.certify.advice",
    "tolerate.stats.assisted": "tolerate.stats.audit.assisted",
    "tolerate.stats.audit": "tolerate.stats.audit.audit",
    "tolerate.stats.audit_parts": "tolerate.stats.audit.parts",
    "tolerate.stats.audit_search": "tolerate.stats.audit.search",
    "tolerate.stats.audit_trials": "tolerate.stats.audit.trials",
    "tolerate.stats.cascade": "tolerate.stats.compare.cascade",
    "tolerate.stats.clusters": "tolerate.stats.certify.clusters",
    "tolerate.stats.compared": "tolerate.stats.compare.compared",
    "tolerate.stats.counts": "tolerate.stats.certify.counts",
    "tolerate.stats.drift": "tolerate.stats.monitor.drift",
    "tolerate.stats.evidence": "tolerate.stats.certify.evidence",
    "tolerate.stats.looks": "tolerate.stats.compare.stopping",
    "tolerate.stats.mending": "tolerate.stats.audit.mending",
    "tolerate.stats.missed": "tolerate.stats.monitor.missed",
    "tolerate.stats.needs": "tolerate.stats.compare.sample_size",
    "tolerate.stats.plan": "tolerate.stats.audit.stopping_plan",
    "tolerate.stats.prefixes": "tolerate.stats.certify.prefixes",
    "tolerate.stats.purse": "tolerate.stats.alpha_wealth",
    "tolerate.stats.race": "tolerate.stats.compare.race",
    "tolerate.stats.ranked": "tolerate.stats.certify.ranked",
    "tolerate.stats.rehearse": "tolerate.stats.compare.rehearsal",
    "tolerate.stats.samples": "tolerate.stats.certify.samples",
    "tolerate.stats.second": "tolerate.stats.audit.second_reader",
    "tolerate.stats.start": "tolerate.stats.certify.first_test",
    "tolerate.stats.strategy": "tolerate.stats.compare.strategies",
    "tolerate.stats.tally": "tolerate.stats.certify.tally",
    "tolerate.stats.threshold": "tolerate.stats.certify.threshold",
    "tolerate.stats.totals": "tolerate.stats.certify.totals",
    "tolerate.stats.walk": "tolerate.stats.certify.fixed_sequence",
    "tolerate.stats.walked": "tolerate.stats.compare.design_split",
    "tolerate.stats.watch": "tolerate.stats.monitor.watch",
    "tolerate.stats.ways": "tolerate.stats.compare.rules",
    "tolerate.store.promises": "tolerate.store.certificates",
    "tolerate.store.seconds": "tolerate.store.second_reviews",
    "tolerate.store.tightened": "tolerate.store.restrictions",
    "tolerate.summary": "tolerate.runs.summary",
    "tolerate.tables": "tolerate.data.tables",
    "tolerate.words": "tolerate.messages.certificates",
}
