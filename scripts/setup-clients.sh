#!/usr/bin/env bash
# Puts the official clients that the tests speak with where those find them: the Python ones into
# target/clients/python, those of JavaScript beside their scripts; and what the Obsidian plugin is built
# with into its folder. Does nothing if they are there at these versions. Needs: python3 with pip, node with npm, their package indexes.
set -euo pipefail

cd "$(dirname "$0")/.."

# install WANTED FOLDER COMMAND…: runs the command unless FOLDER was filled for this very file WANTED.
install() {
    local wanted=$1 folder=$2 attempt
    shift 2
    if cmp --silent "$wanted" "$folder/installed"; then
        return
    fi
    echo "setup-clients: installing the clients of $wanted" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    for attempt in 1 2 3; do
        if "$@"; then
            cp "$wanted" "$folder/installed"
            return
        fi
        echo "setup-clients: trying again (attempt $attempt)" >&2
        sleep $((attempt * 3))
    done
    echo "setup-clients: failed three times; see above" >&2
    exit 1
}

install tests/clients/python/requirements.txt target/clients/python \
    env PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts \
    --target target/clients/python --requirement tests/clients/python/requirements.txt
install tests/clients/node/package.json tests/clients/node/node_modules \
    npm install --prefix tests/clients/node --no-package-lock --no-audit --no-fund --loglevel=error
install clients/obsidian/package.json clients/obsidian/node_modules \
    npm install --prefix clients/obsidian --no-package-lock --no-audit --no-fund --loglevel=error
