#!/usr/bin/env bash
# Builds the static binary and the image around it.
# Usage: docker/build.sh [IMAGE]   (default openpolicy-mcp:latest; PROFILE=dev for a quick one)
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:-openpolicy-mcp:latest}
profile=${PROFILE:-dist}
target=$(uname -m)-unknown-linux-gnu
[ "$(uname -s)" = Linux ] || { echo "build the static binary on Linux" >&2; exit 2; }

# --target keeps the flag away from build scripts and procedural macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
  cargo build --locked --profile "$profile" --target "$target"

folder=$profile
[ "$profile" = dev ] && folder=debug
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "${CARGO_TARGET_DIR:-target}/$target/$folder/openpolicy-mcp" "$context/"
docker build -q -f Dockerfile -t "$image" "$context"
docker image inspect -f '{{.Size}} bytes' "$image"
