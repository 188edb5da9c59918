"""What an empty answer costs: the baselines ``bench_serving.py`` compares with."""

from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@bentoml.service(workers=2)
class Noop:
    """BentoML as it comes."""

    @bentoml.api  # type: ignore[untyped-decorator]
    async def ping(self, x: int) -> dict[str, Any]:
        """Answer with what came."""
        return {"x": x}


async def _ping(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


starlette = Starlette(routes=[Route("/ping", _ping, methods=["POST"])])
