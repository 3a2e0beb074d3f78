#!/bin/sh
# Checks the direction of every #include, the home of every third-party header
# and the length of every file. Run from the top of the tree:
#   tests/lint/layers.sh FILE...
# shellcheck disable=SC2013,SC2086  # words are split on purpose
set -euf
max_lines=600
status=0
bad() {
    echo "$1" >&2
    status=1
}

# The layer of a path: its folder, but for tests, which are one.
layer_of() {
    case $1 in
    tests/*) echo tests ;;
    */*) echo "${1%/*}" ;;
    *) echo . ;;
    esac
}

# What a layer may include besides itself.
allowed() {
    case $1 in
    base) ;;
    daemon/loop | client) echo base ;;
    daemon/core | daemon/proto) echo daemon/loop base ;;
    daemon/store) echo daemon/core daemon/loop base ;;
    daemon/exec) echo daemon/core daemon/proto daemon/loop base ;;
    daemon/worker) echo daemon/proto daemon/loop base ;;
    daemon/runner | daemon/fetcher) echo daemon/worker daemon/proto daemon/loop base ;;
    api) echo daemon/core daemon/loop base ;;
    daemon) echo 'daemon/*' api base ;; # joins everything
    tests) echo '*' ;;
    *) return 1 ;;
    esac
}

# Where a third-party header may appear: layers and files, as shell patterns.
home() {
    case $1 in
    uv.h)
        echo daemon/loop daemon/store daemon/proto daemon/exec daemon/worker daemon/runner \
            daemon/fetcher api
        ;;
    microhttpd.h) echo api ;;
    sqlite3.h) echo daemon/store ;;
    curl/*) echo daemon/fetcher client ;;
    gnutls/*) echo daemon/fetcher api ;;
    cjson/*) echo base daemon/exec api client ;;
    check.h) ;; # tests
    *) echo '*' ;;
    esac
}

fits() { # fits WORD PATTERN... : does WORD match any?
    word=$1
    shift
    for pattern in "$@"; do
        # shellcheck disable=SC2254  # the pattern is meant
        case $word in $pattern) return 0 ;; esac
    done
    return 1
}

for file in "$@"; do
    layer=$(layer_of "$file")
    if ! below=$(allowed "$layer"); then
        bad "$file: no layer lives in this folder (tests/lint/layers.sh)"
        continue
    fi
    for header in $(sed -n 's/^ *# *include "\([^"]*\)".*/\1/p' "$file"); do
        fits "$(layer_of "$header")" "$layer" $below ||
            bad "$file: may not include \"$header\""
    done
    for header in $(sed -n 's/^ *# *include <\([^>]*\)>.*/\1/p' "$file"); do
        where=$(home "$header")
        fits "$layer" tests daemon $where || fits "$file" $where ||
            bad "$file: may not include <$header>"
    done
    n=$(wc -l <"$file")
    [ "$n" -le "$max_lines" ] || bad "$file: $n lines, the limit is $max_lines"
done
exit $status
