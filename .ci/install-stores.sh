#!/bin/sh
# Install the servers that the tests of the replay stores run against: Redis and PostgreSQL.
# Does nothing where they are there, or where there is no apt-get (the tests then say what is
# missing: they fail with CI=true, and are skipped elsewhere).
set -eu

wanted=""
command -v redis-server >/dev/null || wanted="$wanted redis-server"
command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
    || wanted="$wanted postgresql"
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null || { echo "no apt-get to install:$wanted" >&2; exit 0; }

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
# A mirror that is away for a moment is asked again, and another apt-get is waited for.
patient="-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086 # the words are the options and the packages
$sudo apt-get $patient update -q
# shellcheck disable=SC2086
$sudo apt-get $patient install -q -y --no-install-recommends $wanted
