#!/bin/sh
# include_arrows.sh: folders depend on each other in one direction: runtime <- ir <- lower <- codegen <- tracer, and
# ir <- script.  Fails on an #include against that, and on a public header that includes anything but public headers.
bad=0
check() { # FOLDER ALLOWED...
    folder=$1
    shift
    allowed=$(echo "$*" | tr ' ' '|')
    found=$(grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' "$folder"/*.[ch] "$folder"/*.def 2>/dev/null |
        grep -vE "include[[:space:]]+\"($allowed)/")
    if [ -n "$found" ]; then
        echo "$folder may include only $*:"
        echo "$found"
        bad=1
    fi
}
check runtime runtime jitc
check ir ir runtime jitc
check script script ir runtime jitc
check lower lower ir runtime jitc
check codegen codegen lower ir runtime jitc
check tracer tracer codegen lower ir runtime jitc
check include/jitc jitc
exit $bad
