#!/usr/bin/env bash
# Puts ONNX Runtime, the Silero VAD network and misaki's pronunciation dictionaries into
# models/vendor/, from the official Python packages. Nothing is built and no Python package is installed. Does nothing if every file is
# there with the sha256 of models/manifest.yml; a missing or damaged file is fetched again.
# Needs: python3 with pip, the package index, about 60 MB of temporary disk space.
set -euo pipefail

cd "$(dirname "$0")/../models"
platform=$(uname -m)

fail() {
    echo "setup-models: $*" >&2
    exit 1
}

# `sha256  path` of every file of this platform.
expected_files() {
    sed -nE "s/^ *- \{path: ([^,]+), platform: (any|$platform), .*sha256: ([0-9a-f]{64})\}\$/\3  \1/p" manifest.yml
}

# Whether every expected file below the folder $1 is there and intact.
intact() {
    expected_files | grep "  $1/" | sha256sum --check --status 2>/dev/null
}

# fetch REQUIREMENT WHEEL_SHA256 FOLDER MEMBER…: unpacks members of the wheel into FOLDER.
fetch() {
    local requirement=$1 sha256=$2 folder=$3 wheel attempt
    shift 3
    if intact "$folder"; then
        return
    fi
    echo "setup-models: fetching $requirement" >&2
    mkdir -p vendor
    temporary=$(mktemp -d vendor/.fetch.XXXXXX)
    trap 'rm -rf "$temporary"' EXIT
    for attempt in 1 2 3; do
        # The wheel is only unpacked, so it need not suit the Python that runs pip.
        if python3 -m pip download --quiet --disable-pip-version-check --no-deps \
            --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 --abi none \
            --platform "manylinux_2_28_$platform" --platform any \
            --dest "$temporary" "$requirement" >&2; then
            break
        fi
        [ "$attempt" -lt 3 ] || fail "pip could not download $requirement; is the package index reachable?"
        echo "setup-models: trying again" >&2
        sleep $((attempt * 3))
    done
    wheel=$(echo "$temporary"/*.whl)
    echo "$sha256  $wheel" | sha256sum --check --status ||
        fail "$(basename "$wheel") has sha256 $(sha256sum "$wheel" | cut -d' ' -f1), expected $sha256; not unpacked"
    mkdir -p "$folder"
    python3 - "$wheel" "$temporary" "$@" <<'PYTHON'
import pathlib, sys, zipfile

wheel, folder, *members = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in members:
        (pathlib.Path(folder) / pathlib.PurePosixPath(member).name).write_bytes(archive.read(member))
PYTHON
    for member in "$@"; do
        mv -f "$temporary/$(basename "$member")" "$folder/"
    done
    rm -rf "$temporary"
    intact "$folder" || fail "files of $requirement do not have the sha256 of models/manifest.yml"
}

command -v python3 >/dev/null || fail "python3 is missing; apt-get install python3-pip"
case $platform in
x86_64) onnxruntime_sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f ;;
aarch64) onnxruntime_sha256=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3 ;;
*) fail "no ONNX Runtime is pinned for $platform; set models.onnxruntime in config.yml to a libonnxruntime of version 1.31 or later" ;;
esac

fetch onnxruntime==1.31.1 "$onnxruntime_sha256" vendor/onnxruntime \
    onnxruntime/capi/libonnxruntime.so.1.31.1 onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
fetch silero-vad==6.2.3 7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8 vendor/silero-vad \
    silero_vad/data/silero_vad_16k_op15.onnx silero_vad-6.2.3.dist-info/licenses/LICENSE
fetch misaki==0.9.4 90e2eeb169786c014c429e5058d2ea6bcd02d651f2a24450ba6c9ffc0f8da15a vendor/misaki \
    misaki/data/us_gold.json misaki/data/us_silver.json misaki/data/gb_gold.json misaki/data/gb_silver.json \
    misaki-0.9.4.dist-info/licenses/LICENSE
