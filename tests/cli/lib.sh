# lib.sh: for the tests of the command: `. tests/cli/lib.sh` with $1 = jitc.  Each check goes on after a failure; `finish`
# gives the exit code.
jitc=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
models=tests/models
checks=0 failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE TEXT COMMAND...: the command ends with CODE, and its output holds TEXT ("" any).  stdout is in $work/out, stderr
# in $work/err.
expect() {
    code=$1 text=$2
    shift 2
    checks=$((checks + 1))
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ $got -ne "$code" ]; then
        fail "exit $got instead of $code: $*"
        sed 's/^/    /' "$work/err" | head -8
    elif [ -n "$text" ] && ! cat "$work/out" "$work/err" | grep -qF -- "$text"; then
        fail "no '$text' in the output of: $*"
        cat "$work/out" "$work/err" | sed 's/^/    /' | head -8
    fi
}
absent() { # FILE...: none of them is there
    for f in "$@"; do
        checks=$((checks + 1))
        if [ -e "$f" ]; then fail "$f was left behind"; fi
    done
}

# npy FILE DESCR SHAPE BYTES: an array of zeros
npy() {
    header="{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
    while [ $(((${#header} + 11) % 64)) -ne 0 ]; do header="$header "; done
    n=$((${#header} + 1))
    {
        printf '\223NUMPY\001\000'
        printf "\\$(printf %03o $((n % 256)))\\$(printf %03o $((n / 256)))"
        printf '%s\n' "$header"
        head -c "$4" /dev/zero
    } >"$1"
}

finish() {
    echo "$((checks - failures)) of $checks checks passed"
    exit $((failures > 0))
}
