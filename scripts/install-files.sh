#!/usr/bin/env bash
# Lays out what a server needs to run: install-files.sh BINARY DESTINATION
#   DESTINATION/opt/vivavoce/    vivavoce, config.yml, models/, licences
#   DESTINATION/data/            empty; the event log and recordings go there
# DESTINATION may be / or an image's root in the making.
set -euo pipefail

fail() {
    echo "install-files: $*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "give the binary and the destination"
binary=$1
home=$2/opt/vivavoce
source=$(dirname "$0")/..
[ -x "$binary" ] || fail "$binary is no program; cargo build --release first"
[ -d "$source/models/vendor" ] || fail "models/vendor is missing; scripts/setup-models.sh first"

mkdir -p "$home" "$2/data"
install -m 755 "$binary" "$home/vivavoce"
install -m 644 "$source/config.yml" "$source/LICENSE-MIT" "$source/LICENSE-APACHE" "$home/"
mkdir -p "$home/models"
cp -R "$source/models/vendor" "$source/models/manifest.yml" "$home/models/"
# The built-in language model.
if [ -d "$source/models/concierge" ]; then
    cp -R "$source/models/concierge" "$home/models/"
fi
