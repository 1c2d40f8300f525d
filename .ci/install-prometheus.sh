#!/bin/sh
# Unpack Debian's Prometheus, which the test of the dashboard asks, into ~/.cache/rx_cometd: not
# installed, for that would start a service. Does nothing where it is there, or where it cannot be
# had (the test is then skipped).
set -eu

target="$HOME/.cache/rx_cometd/prometheus"
[ ! -x "$target/usr/bin/prometheus" ] || exit 0
command -v apt-get >/dev/null || { echo "no apt-get to fetch prometheus" >&2; exit 0; }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
patient="-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086 # the words are the options
if apt-get $patient download -q prometheus \
    || { apt-get $patient update -q && apt-get $patient download -q prometheus; }; then
    dpkg -x prometheus_*.deb unpacked
    mkdir -p "$(dirname "$target")"
    rm -rf "$target" # what was left half done
    mv unpacked "$target"
else
    echo "prometheus could not be fetched" >&2
fi
