#!/usr/bin/env bash
# Installs system packages by apt: setup-system.sh [--clean] SET…
#   run     what the built binary needs
#   build   what building it needs
#   test    what the tests need besides (Debian's names; Ubuntu ships Chromium as a snap)
# --clean removes apt's package lists afterwards (for images). Packages that are there are left
# alone; with nothing to do it needs neither root nor a network.
set -euo pipefail

run=(ca-certificates curl libasound2 libflite1 libmp3lame0 libpocketsphinx3 libsphinxbase3 pocketsphinx-en-us)
build=(
    build-essential pkg-config cmake clang libclang-dev libasound2-dev flite1-dev libpocketsphinx-dev
    libsphinxbase-dev pocketsphinx-en-us python3-pip unzip ca-certificates curl
)
test=(alsa-utils chromium chromium-driver espeak-ng nodejs postgresql procps shellcheck sox)
# Hundreds of packages, where Node.js did not bring it along.
command -v npm >/dev/null || test+=(npm)

fail() {
    echo "setup-system: $*" >&2
    exit 1
}

wanted=()
clean=false
for argument in "$@"; do
    case $argument in
    --clean) clean=true ;;
    run) wanted+=("${run[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    *) fail "unknown argument $argument; give any of: --clean run build test" ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || fail "give at least one of: run build test"

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "this is not Debian or Ubuntu; install what these packages are called here: ${wanted[*]}"
fi

installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    grep --quiet --line-regexp --fixed-strings "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "no sudo; run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

# apt-get fails once in a while where nothing is wrong.
retry() {
    local attempt
    for attempt in 1 2 3; do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@"; then
            return
        fi
        [ "$attempt" -lt 3 ] || fail "$* failed three times; see above"
        echo "setup-system: trying again" >&2
        sleep $((attempt * 3))
    done
}

echo "setup-system: installing ${missing[*]}" >&2
retry apt-get update --quiet --quiet
retry apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}" >/dev/null
if $clean; then
    "${as_root[@]}" find /var/lib/apt/lists -mindepth 1 -delete
fi
