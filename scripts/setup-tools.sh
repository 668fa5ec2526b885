#!/usr/bin/env bash
# Installs the cargo tools that `make test` and `make lint` use, where they are missing: built from
# source, at these versions. A newer or older one that is there is good enough.
set -euo pipefail

fail() {
    echo "setup-tools: $*" >&2
    exit 1
}

command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.95 or later (https://rustup.rs)"

install() {
    local tool=$1 version=$2
    if ! command -v "$tool" >/dev/null; then
        echo "setup-tools: building $tool $version (minutes, once)" >&2
        cargo install --quiet --locked "$tool" --version "$version"
    fi
}

install cargo-nextest 0.9.143
install cargo-deny 0.20.2
for component in clippy fmt; do
    cargo "$component" --version >/dev/null 2>&1 ||
        fail "cargo $component is missing; rustup component add clippy rustfmt"
done
