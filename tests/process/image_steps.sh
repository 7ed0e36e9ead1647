#!/bin/sh
# Does the steps of the Dockerfile in a clean folder, without a Docker engine: [PYTHON=…] image_steps.sh CHECKOUT FOLDER
# test_deploy.py checks that it copies the same files as the Dockerfile.
set -eu
checkout=$1 folder=$2
mkdir -p "$folder/app" "$folder/state" "$folder/etc"
chmod 0700 "$folder/state"
cd "$folder/app"
cp "$checkout/requirements.lock" ./
"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
cp -r "$checkout/scheduler" scheduler
cp "$checkout/run_scheduler.py" ./
find scheduler -name __pycache__ -prune -exec rm -rf {} +
.venv/bin/python -m compileall -q scheduler
chmod -R a-w scheduler run_scheduler.py
