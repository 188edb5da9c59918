"""The BentoML service: one thin method per endpoint, each calling a plain function. Only it imports bentoml.

Disabled are features that cost more than an answer does: tracing, access log and the framework's own metrics
(whose labels contain whatever path a client sends). Nothing is loaded on import: a worker opens its scoring
and the store when it starts.
"""

# mypy: disable-error-code="untyped-decorator,attr-defined"
# bentoml's decorators carry no types

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import bentoml
import msgspec
from starlette.responses import Response

from models.chance.horizon import in_short
from serving import api, api_crm, api_types
from serving.entrance.access import ADMITTED, AccessControl
from serving.entrance.refusals import refusal_for
from serving.entrance.threads import BoundedThreads
from serving.marketing import customer, plan, retention, targets
from serving.marketing.files import Accepted, json_answer, rows_answer, unchanged
from serving.marketing.scores import ScoresQuery
from serving.state import State
from serving.storefront import answers, events, offers
from serving.watching import logs, orphan
from serving.worker import FOLLOW_SECONDS, Worker

log = logging.getLogger("recompra.serving")
Answer = TypeVar("Answer", bound=api_types.Response)
Listing = TypeVar("Listing", api_crm.ScoresRequest, api_crm.TargetsRequest, api_crm.PlanRequest)
WORKER = Worker()
STORE_THREADS, SCORES_THREADS = BoundedThreads(8, 64), BoundedThreads(2, 16)
"""Threads for requests that need the online store, and for those that do not: a hanging store blocks only the
first."""
SUPERVISOR_SECONDS = 1.0


def now() -> datetime:
    """Read the clock: the only place in serving that does, besides the watcher."""
    return datetime.now(UTC)


@bentoml.service(
    name="recompra",
    workers=int(os.environ.get("RECOMPRA_WORKERS", "1")),
    traffic={"timeout": 2},
    tracing={"excluded_urls": ".*"},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Recompra:
    """Answers a storefront and a CRM."""

    def __init__(self) -> None:
        logs.set_up()
        log.info("the code in %s answers", Path(__file__).resolve().parent.parent)
        logging.getLogger("uvicorn.access").propagate = False  # its lines would be made, then dropped
        WORKER.open_patiently(Path(os.environ.get("RECOMPRA_HOME", ".recompra")).resolve())
        self._followers: list[asyncio.Task[None]] = []

    @bentoml.on_deployment
    @staticmethod
    def supervise() -> None:
        """Configure the supervisor process: its logs, and how soon it notices dead workers."""
        logs.set_up()
        os.environ[orphan.KEEPER] = str(os.getpid())
        _watch_closely()

    @bentoml.on_startup
    async def follow(self) -> None:
        """Look in the background for a newer scoring, and for a store that was unavailable."""
        orphan.end_with(int(os.environ.get(orphan.KEEPER, os.getppid())))
        WORKER.followed = True
        if WORKER.moved():  # while this worker was starting
            WORKER.swap(WORKER.load())
        self._followers = [asyncio.create_task(_repeated(look, WORKER)) for look in (_follow, _recheck)]

    @bentoml.on_shutdown
    async def leave(self) -> None:
        """Stop looking, and close the store."""
        for follower in self._followers:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
        WORKER.close()

    @bentoml.api(route="/recommend")
    async def recommend(self, request: api.RecommendRequest, /) -> api.Recommended:
        """Say what to show a customer, now."""
        return answers.recommend(WORKER.serving(), request)

    @bentoml.api(route="/next_best_offer")
    async def next_best_offer(self, request: api.OfferRequest, /) -> api.Offer:
        """Say what to offer a customer, or nothing."""
        offer = await _answer(offers.next_best_offer, request, now=now())
        if isinstance(offer, api.Offer):
            WORKER.count_offer(offer)
        return offer

    @bentoml.api(route="/events")
    async def events(self, request: api.EventsRequest, /) -> api.EventsKept:
        """Orders, returns, stock, contacts."""
        return await _answer(events.post_events, request, now=now())

    @bentoml.api(route="/customer")
    async def customer(self, request: api_crm.CustomerRequest, /) -> api_crm.Profile:
        """All we know of one customer."""
        return await _answer(customer.profile, request)

    @bentoml.api(route="/scores")
    async def scores(self, request: api_crm.ScoresRequest, /) -> api_crm.ScoresPage:
        """Scores of all customers, in pages or as one stream."""
        asked = _asked()
        return await _answer(_scores, _as_accepted(request, asked), home=WORKER.home, asked=asked)

    @bentoml.api(route="/retention_targets")
    async def retention_targets(self, request: api_crm.TargetsRequest, /) -> api_crm.Targets:
        """Whom to keep, under a budget."""
        answer = targets.targets_by_action if request.actions else retention.retention_targets
        result = await _answer(answer, request, now=now())
        return _file(result, "targets", request)  # type: ignore[no-any-return]

    @bentoml.api(route="/contact_plan")
    async def contact_plan(self, request: api_crm.PlanRequest, /) -> api_crm.Plan:
        """Whom to contact when, with what."""
        result = await _answer(plan.contact_plan, request, now=now())
        return _file(result, "contacts", request)  # type: ignore[no-any-return]

    @bentoml.api(route="/erase")
    async def erase(self, request: api_crm.EraseRequest, /) -> api_crm.Erased:
        """Forget a customer."""
        return await _answer(customer.erase, request, now=now(), audit=WORKER.audit)


for _method in Recompra.apis.values():  # `bentoml build` writes an OpenAPI that knows no examples; ours does
    _method.input_spec.model_config.pop("json_schema_extra", None)
Recompra.add_asgi_middleware(
    AccessControl, worker=WORKER, clock=now, hot=os.environ.get("RECOMPRA_HOT", "1") == "1"
)


async def _answer(function: Callable[..., Answer], request: Any, **more: Any) -> Answer:
    """Answer in a thread, off the event loop that answers the hot routes; refusals become responses."""
    state: State = WORKER.serving()
    threads = SCORES_THREADS if isinstance(request, api_crm.ScoresRequest) else STORE_THREADS
    try:
        return await threads.run(function, state, request, **more)
    except Exception as error:  # a refusal becomes its response; anything else is raised again
        refused = refusal_for(error)
        if refused.status == 500:
            raise
        response = Response(refused.body(), refused.status, dict(refused.headers), "application/json")
        return response  # type: ignore[return-value]


def _scores(state: State, request: api_crm.ScoresRequest, *, home: Path, asked: Accepted) -> Any:
    """Answer from one scoring: a page is complete when this returns, a stream has only begun."""
    query = ScoresQuery.of(state, request, home=home)
    if request.format != "json":
        return query.file().answer(request.format, asked)
    if asked.holds(query.tag):
        return unchanged(query.tag)
    return json_answer(msgspec.json.encode(query.page().__dict__), asked, tag=query.tag)


def _file(answer: Any, rows: str, request: Listing) -> Any:
    """Return the whole response, or its rows alone as a file; refusals are unchanged."""
    if not isinstance(answer, api_crm.TableResponse):
        return answer
    asked = _asked()
    kind = _as_accepted(request, asked).format
    if kind == "json":
        return json_answer(answer.model_dump_json().encode(), asked)
    return rows_answer(
        getattr(answer, rows), answer.names, kind=kind, asked=asked, notes=in_short(answer.notes)
    )


def _as_accepted(request: Listing, asked: Accepted) -> Listing:
    """Return the request in the format that ``Accept`` asks for, if it names none itself."""
    named = "format" in request.model_fields_set
    return request if named else request.model_copy(update={"format": asked.kind})


def _asked() -> Accepted:
    """Return the headers of this request; a parameter ``ctx`` would make every status 200."""
    request = Recompra.context.request
    return Accepted.of(request.headers, bodiless=request.scope.get(ADMITTED) == "HEAD")


async def _repeated(look: Callable[[Worker], Awaitable[None]], worker: Worker) -> None:
    """Look at short intervals, whatever a look meets: a task that ended would never look again."""
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            await look(worker)
        except Exception:  # whatever it was, answers go on, and the next look may succeed
            log.exception("a look at the scoring, or the store, failed")


async def _follow(worker: Worker) -> None:
    if worker.moved():
        worker.swap(await asyncio.to_thread(worker.load))


async def _recheck(worker: Worker) -> None:
    if worker.view is not None and worker.view.down:
        await asyncio.to_thread(worker.recheck_store)


def _watch_closely() -> None:
    """Let the framework's supervisor check every second for dead workers, in a container too.

    By default it checks every ten, and in its own containers it restarts none while one is left. If the
    framework is not built as expected, its default stays.
    """
    os.environ.pop("BENTOML_CONTAINERIZED", None)
    with contextlib.suppress(ImportError, AttributeError):
        from bentoml._internal.utils import circus

        class Arbiter(circus.Arbiter):  # type: ignore[misc]
            def __init__(self, *more: Any, **options: Any) -> None:
                super().__init__(*more, **options | {"check_delay": SUPERVISOR_SECONDS})

        circus.Arbiter = Arbiter
