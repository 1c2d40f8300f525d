#!/bin/sh
# Unpack Debian's Prometheus, which the test of the dashboard asks, into ~/.cache/rx_cometd: not
# installed, for that would start a service. Does nothing where it is there, or where there is no
# apt-get (the test is then skipped).
set -eu

target="$HOME/.cache/rx_cometd/prometheus"
[ ! -x "$target/usr/bin/prometheus" ] || exit 0
command -v apt-get >/dev/null || { echo "no apt-get to fetch prometheus" >&2; exit 0; }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }
mkdir -p "$target"
dpkg -x prometheus_*.deb "$target"
