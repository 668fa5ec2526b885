#!/usr/bin/env bash
# Puts the official clients that the tests speak with into target/clients/. Does nothing if they are there.
# Needs: python3 with pip, the package index.
set -euo pipefail

cd "$(dirname "$0")/.."
wanted=tests/clients/python/requirements.txt
packages=target/clients/python
stamp=$packages/requirements.txt

if ! cmp --silent "$wanted" "$stamp"; then
    echo "setup-clients: installing $(paste -sd ' ' "$wanted")" >&2
    rm -rf "$packages"
    mkdir -p "$packages"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts \
        --target "$packages" --requirement "$wanted"
    cp "$wanted" "$stamp"
fi
