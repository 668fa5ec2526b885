#!/usr/bin/env bash
# Puts the official clients that the tests speak with into target/clients/. Does nothing if they are there.
# Needs: python3 with pip, the package index.
set -euo pipefail

cd "$(dirname "$0")/.."
requirements=tests/clients/python/requirements.txt
folder=target/clients/python

if cmp --silent "$requirements" "$folder/requirements.txt"; then
    exit 0
fi
echo "setup-clients: installing the clients of $requirements" >&2
rm -rf "$folder"
mkdir -p "$folder"
for attempt in 1 2 3; do
    if python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
        --requirement "$requirements"; then
        cp "$requirements" "$folder/requirements.txt"
        exit 0
    fi
    echo "setup-clients: trying again (attempt $attempt)" >&2
    sleep $((attempt * 3))
done
echo "setup-clients: pip failed three times; see above" >&2
exit 1
