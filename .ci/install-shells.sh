#!/bin/sh
# Install the shells whose completion is tested: zsh and fish. Where that cannot be done, their
# tests are skipped and say so; bash is everywhere.
set -u

wanted=""
for shell in zsh fish; do
    command -v "$shell" >/dev/null || wanted="$wanted $shell"
done
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null || { echo "no apt-get to install:$wanted" >&2; exit 0; }

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
patient="-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086 # the words are the options and the packages
$sudo apt-get $patient update -q \
    && $sudo apt-get $patient install -q -y --no-install-recommends $wanted \
    || echo "not installed:$wanted" >&2
