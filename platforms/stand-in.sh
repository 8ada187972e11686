#!/usr/bin/env bash
# Makes the image openpolicy/stand-in:1 that the Compose files here name: the service that answers
# HTTP at the port in PORT, with `curl` for health checks. No registry is asked.
#
#   platforms/stand-in.sh [BINARY [IMAGE [CHANGE…]]]
#
# BINARY is openpolicy-mcp (default: the one that `cargo build` makes); CHANGE is one more line of a
# Dockerfile, such as `ENV VERSION=2`. Needs docker, curl and tar, on Linux.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/with_libraries.sh"
binary=${1:-$here/../target/debug/openpolicy-mcp}
image=${2:-openpolicy/stand-in:1}
shift $(($# < 2 ? $# : 2))
[ -x "$binary" ] || { echo "$binary is not there: cargo build" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
echo 'root:x:0:0::/:/' >"$root/etc/passwd"
with_libraries "$root" "$(command -v curl)"
cp "$binary" "$root/openpolicy-mcp"
strip "$root/openpolicy-mcp" 2>/dev/null || true
libraries_of "$root" "$binary"
changes=(--change 'ENV PATH=/usr/bin:/bin' --change 'ENTRYPOINT ["/openpolicy-mcp","stand-in","--address","0.0.0.0"]')
for change in "$@"; do changes+=(--change "$change"); done
tar -C "$root" -c . | docker import "${changes[@]}" - "$image"
