"""``/healthz``, ``/readyz`` and ``/metrics``."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """Whether it serves; ``degraded`` names parts that it serves without, ``reasons`` says of each
    part that is missing why."""

    status: str
    degraded: list[str] = []
    down: list[str] = []
    reasons: dict[str, str] | None = None


@router.get("/healthz")
async def healthz() -> Alive:
    """Tell that the process is alive."""
    return Alive()


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Response:
    """Tell whether requests can be served now."""
    state = await request.app.state.readiness.state()
    told = {
        "status": "down" if state.down else "ready",
        "degraded": state.degraded,
        "down": state.down,
    }
    if state.reasons:
        told["reasons"] = state.reasons
    return JSONResponse(told, 503 if state.down else 200)


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    found = request.app.state.metrics
    return Response(found.text(), headers={"Content-Type": found.content_type})
