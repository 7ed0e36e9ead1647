# syntax=docker/dockerfile:1
# Slim image in two stages. It runs without root and with a read-only root file system:
#     docker run --read-only --tmpfs /tmp --cap-drop ALL --ulimit nofile=65536 --ulimit rtprio=2 --stop-timeout 40 \
#       -v ./jobs.yaml:/etc/tminus/jobs.yaml:ro -v tminus:/var/lib/tminus tminus
FROM python:3.12-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock

FROM python:3.12-slim-bookworm
# tini reaps orphaned processes and forwards signals. hadolint wants a pinned version, but Debian keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/tminus --create-home --shell /usr/sbin/nologin tminus \
 && chmod 0700 /var/lib/tminus
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY scheduler scheduler
COPY run_scheduler.py ./
RUN python -m compileall -q scheduler
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMINUS_CONFIG=/etc/tminus/jobs.yaml \
    TMINUS_LEDGER=sqlite:////var/lib/tminus/ledger.db \
    TMINUS_LOG=json
USER 10001
VOLUME /var/lib/tminus
STOPSIGNAL SIGTERM
# Unhealthy only if no daemon responds. Status 1 (needs attention) is not a reason to restart.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s \
  CMD ["sh", "-c", "python /app/run_scheduler.py status -q >/dev/null || [ $? -eq 1 ]"]
ENTRYPOINT ["tini", "--", "python", "/app/run_scheduler.py"]
CMD ["daemon"]
